#include "client/picture_receipt.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/message_json.h"
#include "client/receipt_file.h"
#include "model/imaging/decode.h"
#include "model/imaging/png_text.h"
#include "model/imaging/webp_xmp.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

std::string Opening() { return absl::StrCat("<", kReceiptProperty, ">"); }
std::string Closing() { return absl::StrCat("</", kReceiptProperty, ">"); }

// XMP specification, part 1, section 7: RDF in a packet that programs find without the format.
std::string XmpPacket(const std::string& json) {
  return absl::StrCat(
      "<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>"
      "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">"
      "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
      "<rdf:Description rdf:about=\"\" xmlns:diffusiond=\"",
      kReceiptNamespace, "\">", Opening(),
      absl::StrReplaceAll(json, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}}), Closing(),
      "</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"r\"?>");
}

// The property's value. NOT_FOUND: the packet has none, or not as an element.
absl::StatusOr<std::string> JsonInXmp(const std::string& packet) {
  const size_t opening = packet.find(Opening());
  const size_t begin = opening + Opening().size();
  const size_t end = opening == packet.npos ? packet.npos : packet.find(Closing(), begin);
  if (end == packet.npos) return absl::NotFoundError("no receipt in the XMP");
  return absl::StrReplaceAll(
      packet.substr(begin, end - begin),
      {{"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&amp;", "&"}});
}

struct PictureText {
  std::string json;
  std::string picture;
};

absl::StatusOr<PictureText> TakeJson(const std::string& picture, absl::string_view format) {
  if (format == "PNG") {
    ASSIGN_OR_RETURN(PngText found, TakePngText(picture, kReceiptKeyword));
    return PictureText{std::move(found.text), std::move(found.png)};
  }
  ASSIGN_OR_RETURN(WebpXmp found, TakeWebpXmp(picture));
  ASSIGN_OR_RETURN(std::string json, JsonInXmp(found.packet));
  return PictureText{std::move(json), std::move(found.webp)};
}

absl::Status CheckSize(const std::string& json) {
  if (json.size() <= kMaxReceiptInPicture) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("a receipt of ", json.size(),
                                                 " bytes is more than the ", kMaxReceiptInPicture,
                                                 " that a picture carries"));
}

}  // namespace

bool CarriesReceipt(v1::ImageFormat format) {
  return format == v1::IMAGE_FORMAT_UNSPECIFIED || format == v1::IMAGE_FORMAT_PNG ||
         format == v1::IMAGE_FORMAT_WEBP;
}

v1::Receipt ReceiptOfImage(const v1::Receipt& receipt, int place) {
  v1::Receipt own = receipt;
  own.clear_request_id();
  own.clear_model_version();
  v1::ResolvedParameters& parameters = *own.mutable_parameters();
  if (parameters.has_morph_seed()) return own;
  parameters.set_count(1);
  parameters.set_first_image_index(parameters.first_image_index() + static_cast<uint32_t>(place));
  own.clear_image_sha256();
  own.add_image_sha256(receipt.image_sha256(place));
  return own;
}

absl::StatusOr<std::string> WithReceipt(const std::string& picture, const v1::Receipt& receipt) {
  const std::string json = MessageJsonLine(receipt);
  RETURN_IF_ERROR(CheckSize(json));
  if (PictureFormat(picture) == "PNG") return AddPngText(picture, kReceiptKeyword, json);
  return AddWebpXmp(picture, XmpPacket(json));
}

absl::StatusOr<PictureReceipt> TakeReceipt(const std::string& picture) {
  const std::string format(PictureFormat(picture));
  if (format != "PNG" && format != "WebP") {
    return absl::InvalidArgumentError(
        absl::StrCat("a picture of the format ", format,
                     " carries no receipt, PNG and WebP do; give the receipt's JSON file"));
  }
  absl::StatusOr<PictureText> taken = TakeJson(picture, format);
  if (absl::IsNotFound(taken.status())) {
    return absl::NotFoundError(
        "the picture carries no receipt: it was saved without one, or a program that wrote it "
        "again left it out; give the receipt's JSON file");
  }
  if (!taken.ok()) return taken.status();
  RETURN_IF_ERROR(CheckSize(taken->json));
  absl::StatusOr<v1::Receipt> receipt = ReceiptFromJson(taken->json);
  if (!receipt.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the receipt in the picture is damaged: ", receipt.status().message()));
  }
  return PictureReceipt{*std::move(receipt), std::move(taken->picture)};
}

}  // namespace diffusiond

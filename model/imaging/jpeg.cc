#include "model/imaging/jpeg.h"

// jpeglib.h needs FILE and size_t to be declared before it.
#include <cstddef>
#include <cstdio>

#include <jpeglib.h>

#include <jerror.h>

#include <csetjmp>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/imaging/exif.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Far above what encoders write (about ten); a progressive file of thousands of tiny scans makes
// the decoder walk the whole picture for each.
constexpr int kMaxScans = 200;

// libjpeg reports an error by a callback that must not return. So each function that calls setjmp
// owns nothing with a destructor: buffers and the libjpeg structures belong to its caller.
struct ErrorManager {
  jpeg_error_mgr base;  // First: libjpeg hands out a pointer to it.
  std::jmp_buf escape;
  char text[JMSG_LENGTH_MAX] = "";
};

[[noreturn]] void OnError(j_common_ptr codec) {
  auto* errors = reinterpret_cast<ErrorManager*>(codec->err);
  (*codec->err->format_message)(codec, errors->text);
  std::longjmp(errors->escape, 1);
}

// Level -1 is a warning: but for these, data is damaged and libjpeg would fill in grey. Above are
// traces.
void OnMessage(j_common_ptr codec, int level) {
  if (level >= 0) return;
  switch (codec->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:  // Bytes between segments, as some cameras leave them.
    case JWRN_JFIF_MAJOR:       // A version of JFIF that is not known.
    case JWRN_ADOBE_XFORM:      // A colour transform that is not known: taken as usual.
      return;
    default:
      OnError(codec);
  }
}

void Install(ErrorManager* errors) {
  jpeg_std_error(&errors->base);
  errors->base.error_exit = OnError;
  errors->base.emit_message = OnMessage;
}

void CountScans(j_common_ptr codec) {
  if (reinterpret_cast<j_decompress_ptr>(codec)->input_scan_number <= kMaxScans) return;
  auto* errors = reinterpret_cast<ErrorManager*>(codec->err);
  std::snprintf(errors->text, sizeof(errors->text), "more than %d scans", kMaxScans);
  std::longjmp(errors->escape, 1);
}

// Where libjpeg writes to. Its own memory destination would do, but loses track of its buffer when
// an error comes after the buffer has grown.
struct Destination {
  jpeg_destination_mgr base{};  // First: libjpeg hands out a pointer to it.
  std::string bytes;
  JOCTET buffer[size_t{1} << 14];
};

void StartBuffer(j_compress_ptr codec) {
  auto* destination = reinterpret_cast<Destination*>(codec->dest);
  codec->dest->next_output_byte = destination->buffer;
  codec->dest->free_in_buffer = sizeof(destination->buffer);
}

void TakeBuffer(j_compress_ptr codec, size_t size) {
  auto* destination = reinterpret_cast<Destination*>(codec->dest);
  destination->bytes.append(reinterpret_cast<const char*>(destination->buffer), size);
}

// The buffer is full, whatever free_in_buffer says.
boolean EmptyBuffer(j_compress_ptr codec) {
  TakeBuffer(codec, sizeof(Destination::buffer));
  StartBuffer(codec);
  return TRUE;
}

void FinishBuffer(j_compress_ptr codec) {
  TakeBuffer(codec, sizeof(Destination::buffer) - codec->dest->free_in_buffer);
}

struct Writer {
  ErrorManager errors;
  jpeg_compress_struct codec{};
  Destination destination;

  Writer() {
    Install(&errors);
    codec.err = &errors.base;
    destination.base.init_destination = StartBuffer;
    destination.base.empty_output_buffer = EmptyBuffer;
    destination.base.term_destination = FinishBuffer;
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { jpeg_destroy_compress(&codec); }
};

struct Reader {
  ErrorManager errors;
  jpeg_decompress_struct codec{};
  jpeg_progress_mgr progress{};

  Reader() {
    Install(&errors);
    codec.err = &errors.base;
    progress.progress_monitor = CountScans;
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { jpeg_destroy_decompress(&codec); }
};

bool Write(Writer* writer, const Image& image, int quality) {
  if (setjmp(writer->errors.escape) != 0) return false;
  jpeg_compress_struct* codec = &writer->codec;
  jpeg_create_compress(codec);
  codec->dest = &writer->destination.base;
  codec->image_width = image.width;
  codec->image_height = image.height;
  codec->input_components = image.channels;
  codec->in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(codec);
  jpeg_set_quality(codec, quality, TRUE);
  codec->optimize_coding = TRUE;
  for (int i = 0; i < codec->num_components; ++i) {
    codec->comp_info[i].h_samp_factor = 1;
    codec->comp_info[i].v_samp_factor = 1;
  }
  jpeg_start_compress(codec, TRUE);
  const size_t stride = size_t(image.width) * image.channels;
  while (codec->next_scanline < codec->image_height) {
    // libjpeg does not write to its input.
    JSAMPROW row = const_cast<JSAMPROW>(image.pixels.data() + codec->next_scanline * stride);
    jpeg_write_scanlines(codec, &row, 1);
  }
  jpeg_finish_compress(codec);
  return true;
}

bool ReadHeader(Reader* reader, std::string_view bytes) {
  if (setjmp(reader->errors.escape) != 0) return false;
  jpeg_decompress_struct* codec = &reader->codec;
  jpeg_create_decompress(codec);
  codec->progress = &reader->progress;
  jpeg_mem_src(codec, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(codec, TRUE);
  return true;
}

constexpr int kCmykSamples = 4;

// Without a profile of the inks: what each leaves of white, times what black leaves. Adobe's
// programs, who are most who write such files, store how much is left in place of how much there
// is.
void CmykToRgb(const uint8_t* cmyk, int width, bool is_left, uint8_t* rgb) {
  for (int x = 0; x < width; ++x, cmyk += kCmykSamples) {
    const int flip = is_left ? 0 : 255;
    const int black = cmyk[3] ^ flip;
    for (int i = 0; i < 3; ++i)
      *rgb++ = static_cast<uint8_t>(((cmyk[i] ^ flip) * black + 127) / 255);
  }
}

// `cmyk_row` has room for a row if the file has four components.
bool ReadRows(Reader* reader, uint8_t* cmyk_row, Image* image) {
  if (setjmp(reader->errors.escape) != 0) return false;
  jpeg_decompress_struct* codec = &reader->codec;
  const bool cmyk = codec->num_components == kCmykSamples;
  codec->out_color_space = cmyk ? JCS_CMYK : image->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  codec->dct_method = JDCT_ISLOW;
  jpeg_start_decompress(codec);
  const size_t stride = size_t(image->width) * image->channels;
  while (codec->output_scanline < codec->output_height) {
    JSAMPROW out = image->pixels.data() + codec->output_scanline * stride;
    JSAMPROW row = cmyk ? cmyk_row : out;
    jpeg_read_scanlines(codec, &row, 1);
    if (cmyk) CmykToRgb(cmyk_row, image->width, codec->saw_Adobe_marker, out);
  }
  jpeg_finish_decompress(codec);
  return true;
}

absl::Status Refused(const Reader& reader) {
  return absl::InvalidArgumentError(absl::StrCat("JPEG is not readable: ", reader.errors.text));
}

}  // namespace

absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality) {
  if (quality < 1 || quality > 100) {
    return absl::InvalidArgumentError(
        absl::StrCat("JPEG quality is ", quality, ", expected 1 to 100"));
  }
  RETURN_IF_ERROR(CheckImage(image));
  Writer writer;
  if (!Write(&writer, image, quality)) {
    return absl::InternalError(absl::StrCat("JPEG was not written: ", writer.errors.text));
  }
  return std::move(writer.destination.bytes);
}

absl::StatusOr<Image> DecodeJpeg(std::string_view bytes, const DecodeLimits& limits) {
  Reader reader;
  if (!ReadHeader(&reader, bytes)) return Refused(reader);
  const jpeg_decompress_struct& codec = reader.codec;
  RETURN_IF_ERROR(CheckDecodedSize("JPEG", codec.image_width, codec.image_height, limits));
  if (codec.num_components != 1 && codec.num_components != 3 &&
      codec.num_components != kCmykSamples) {
    return absl::InvalidArgumentError(
        absl::StrCat("JPEG has ", codec.num_components,
                     " components, expected 1 (grey), 3 (colour) or 4 (CMYK)"));
  }
  Image image{.width = static_cast<int>(codec.image_width),
              .height = static_cast<int>(codec.image_height),
              .channels = codec.num_components == 1 ? 1 : 3,
              .pixels = {}};
  image.pixels.resize(size_t(image.width) * image.height * image.channels);
  std::vector<uint8_t> cmyk_row;
  if (codec.num_components == kCmykSamples) cmyk_row.resize(size_t(image.width) * kCmykSamples);
  if (!ReadRows(&reader, cmyk_row.data(), &image)) return Refused(reader);
  return Upright(std::move(image), JpegOrientation(bytes));
}

}  // namespace diffusiond

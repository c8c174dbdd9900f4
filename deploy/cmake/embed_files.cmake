# cmake -DFILES=<a,b,...> -DHEADER=<path in #include> -DTYPE=<struct {name, bytes}> -DFUNCTION=<its span>
#       -DOUTPUT=<file.cc> -P embed_files.cmake
#
# Writes a C++ source that holds the bytes of files.
string(REPLACE "," ";" files "${FILES}")
set(arrays)
set(table)
foreach(file IN LISTS files)
  get_filename_component(name ${file} NAME)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(MAKE_C_IDENTIFIER ${name} symbol)
  string(APPEND arrays "const unsigned char ${symbol}[] = {${bytes}};\n")
  string(APPEND table "    {\"${name}\", absl::string_view(reinterpret_cast<const char*>(${symbol}), sizeof(${symbol}))},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"${HEADER}\"

namespace diffusiond {
namespace {

${arrays}
const ${TYPE} kFiles[] = {
${table}};

}  // namespace

absl::Span<const ${TYPE}> ${FUNCTION}() { return kFiles; }

}  // namespace diffusiond
")

#include "model/process/printable_text.h"

#include <string>

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

TEST(PrintableTextTest, TextStaysAsItIs) {
  for (const std::string text :
       {"", "T-shirt", "Größe", "短袖", "👩‍🚀", "a \\x1b that was escaped", "~ !"}) {
    EXPECT_TRUE(IsPrintable(text)) << text;
    EXPECT_EQ(Printable(text), text);
  }
}

TEST(PrintableTextTest, WhatATerminalWouldActOnIsEscaped) {
  struct Case {
    std::string text, shown;
  };
  for (const Case& one : {
           Case{"\x1b]0;title\x07", "\\x1b]0;title\\x07"},
           {std::string("a\0b", 3), "a\\x00b"},
           {"one\ntwo\r\tthree", "one\\ntwo\\r\\tthree"},
           {"\x7f", "\\x7f"},
           {"\xc2\x9b"
            "31m",
            "\\xc2\\x9b31m"},  // CSI as one character of C1.
           {"\x9b"
            "31m",
            "\\x9b31m"},  // And as a byte: no UTF-8.
           {"a\xe2\x80\xae"
            "b",
            "a\\xe2\\x80\\xaeb"},  // Right-to-left override.
           {"a\xe2\x81\xa6"
            "b",
            "a\\xe2\\x81\\xa6b"},  // Isolate.
           {"a\xd8\x9c"
            "b",
            "a\\xd8\\x9cb"},  // Arabic letter mark.
           {"a\xe2\x80\xa8"
            "b",
            "a\\xe2\\x80\\xa8b"},       // Line separator.
           {"\xc0\x9b", "\\xc0\\x9b"},  // A longer form than there is need for.
           {"\xe0\x80\x9b", "\\xe0\\x80\\x9b"},
           {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // A surrogate.
           {"\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80"},  // Above the last character.
           {"cut \xe2\x80", "cut \\xe2\\x80"},
       }) {
    EXPECT_FALSE(IsPrintable(one.text)) << one.shown;
    EXPECT_EQ(Printable(one.text), one.shown);
    EXPECT_EQ(Printable(one.shown), one.shown) << "nothing is escaped twice";
  }
}

TEST(PrintableTextTest, LineEndsMayStay) {
  EXPECT_EQ(PrintableLines("one\n  two\x1b\r\n"), "one\n  two\\x1b\\r\n");
}

}  // namespace
}  // namespace diffusiond

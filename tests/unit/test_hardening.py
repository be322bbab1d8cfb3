"""The program and its objects are hardened, our own as well as the library's.

    test_hardening.py BUILD_FOLDER fortified|plain own|system

Reads the linked program, each object that went into it, and, for what leaves no trace in either
(a function without a large frame needs no stack probe), the compiler's command lines. `own`: the TLS library is built with the program; `system`: it is the
distribution's, whose objects are not ours to read.
"""

import collections
import json
import os
import struct
import sys
import unittest

BUILD, FORTIFY, LIBRARY = sys.argv[1:4]
PROGRAM = os.path.join(BUILD, "postern")

ET_DYN = 3
PT_LOAD, PT_DYNAMIC = 1, 2
PT_GNU_STACK, PT_GNU_RELRO = 0x6474e551, 0x6474e552
PF_X, PF_W = 1, 2
DT_RPATH, DT_TEXTREL, DT_RUNPATH, DT_FLAGS, DT_FLAGS_1 = 15, 22, 29, 30, 0x6ffffffb
DF_TEXTREL, DF_BIND_NOW = 4, 8
DF_1_NOW, DF_1_PIE = 1, 0x08000000
SHT_SYMTAB, SHT_DYNSYM = 2, 11
SHN_UNDEF = 0
EM_X86, EM_X86_64, EM_AARCH64 = 3, 62, 183
# A property's type, and its bits: landing pads and shadow stack; landing pads and signed returns.
MARKS = {EM_X86: (0xc0000002, 3), EM_X86_64: (0xc0000002, 3), EM_AARCH64: (0xc0000000, 3)}

Segment = collections.namedtuple("Segment", "type flags offset size")
Section = collections.namedtuple("Section", "name type offset size link entry_size")


class Elf:
    """What the tests ask of an ELF file of either class and byte order."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        if self.data[:4] != b"\x7fELF":
            raise ValueError(f"{path}: not an ELF file")
        self.wide = self.data[4] == 2
        self.order = "<" if self.data[5] == 1 else ">"
        word = "Q" if self.wide else "I"
        (self.type, self.machine, _, _, self._segments_at, self._sections_at, _, _,
         self._segment_size, self._segment_count, self._section_size, self._section_count,
         self._names) = self._read(f"HHI{word * 3}IHHHHHH", 16)
        self.sections = self._read_sections()

    def _read(self, layout, offset):
        return struct.unpack_from(self.order + layout, self.data, offset)

    def _text(self, offset):
        return self.data[offset:self.data.index(b"\0", offset)].decode("ascii", "replace")

    def segments(self):
        for i in range(self._segment_count):
            at = self._segments_at + i * self._segment_size
            if self.wide:
                kind, flags, offset, _, _, size = self._read("IIQQQQ", at)
            else:
                kind, offset, _, _, size, _, flags = self._read("IIIIIII", at)
            yield Segment(kind, flags, offset, size)

    def _read_sections(self):
        sections = []
        for i in range(self._section_count):
            at = self._sections_at + i * self._section_size
            layout = "IIQQQQIIQQ" if self.wide else "IIIIIIIIII"
            name, kind, _, _, offset, size, link, _, _, entry = self._read(layout, at)
            sections.append(Section(name, kind, offset, size, link, entry))
        names_at = sections[self._names].offset
        return [s._replace(name=self._text(names_at + s.name)) for s in sections]

    def dynamic(self):
        """The values of the dynamic section by their tag."""
        pair = "qQ" if self.wide else "iI"
        values = {}
        for segment in self.segments():
            if segment.type == PT_DYNAMIC:
                step = struct.calcsize(self.order + pair)
                for at in range(segment.offset, segment.offset + segment.size, step):
                    tag, value = self._read(pair, at)
                    values.setdefault(tag, value)
        return values

    def imports(self):
        """The names of the symbols that the file takes from elsewhere."""
        names = set()
        wanted = SHT_DYNSYM if self.type == ET_DYN else SHT_SYMTAB
        for section in self.sections:
            if section.type == wanted:
                strings = self.sections[section.link].offset
                for at in range(section.offset, section.offset + section.size,
                                section.entry_size):
                    layout = "IBBH" if self.wide else "IIIBBH"
                    fields = self._read(layout, at)
                    if fields[-1] == SHN_UNDEF:
                        names.add(self._text(strings + fields[0]))
        return names

    def checked_calls(self):
        """The functions of FORTIFY among the imports (where it knows that a call is safe, or
        nothing of its bounds, the compiler takes the plain one)."""
        return {n for n in self.imports() if n.startswith("__") and n.endswith("_chk")}

    def property(self, wanted):
        """The value of one GNU property, or 0."""
        align = 8 if self.wide else 4
        for section in self.sections:
            if section.name != ".note.gnu.property":
                continue
            at = section.offset + 16  # sizes, type and the owner "GNU"
            while at + 8 <= section.offset + section.size:
                kind, size = self._read("II", at)
                if kind == wanted:
                    return self._read("I", at + 8)[0]
                at += 8 + (size + align - 1) // align * align
        return 0


def commands():
    """(source, object, arguments) of each C file of the program and its TLS library."""
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as file:
        for entry in json.load(file):
            target = entry["output"]
            if target.startswith(("src/", "postern.p/", "subprojects/")) and \
                    entry["file"].endswith(".c"):
                yield entry["file"], os.path.join(BUILD, target), entry["command"].split()


class Program(unittest.TestCase):
    """What the dynamic linker and the kernel read in the program."""

    @classmethod
    def setUpClass(cls):
        cls.elf = Elf(PROGRAM)
        cls.dynamic = cls.elf.dynamic()

    def test_is_loaded_at_a_random_address(self):
        self.assertEqual(self.elf.type, ET_DYN)
        self.assertTrue(self.dynamic.get(DT_FLAGS_1, 0) & DF_1_PIE, "not linked with -pie")

    def test_binds_every_symbol_at_start_and_write_protects_the_table(self):
        self.assertIn(PT_GNU_RELRO, [s.type for s in self.elf.segments()])
        self.assertTrue(self.dynamic.get(DT_FLAGS, 0) & DF_BIND_NOW
                        or self.dynamic.get(DT_FLAGS_1, 0) & DF_1_NOW, "not linked with -z now")

    def test_has_no_memory_that_is_writable_and_executable(self):
        stacks = [s for s in self.elf.segments() if s.type == PT_GNU_STACK]
        self.assertEqual(len(stacks), 1)
        for segment in [*stacks, *(s for s in self.elf.segments() if s.type == PT_LOAD)]:
            self.assertNotEqual(segment.flags & (PF_W | PF_X), PF_W | PF_X)
        self.assertFalse(self.dynamic.get(DT_FLAGS, 0) & DF_TEXTREL or DT_TEXTREL in self.dynamic)

    def test_looks_for_libraries_only_where_the_system_does(self):
        self.assertNotIn(DT_RPATH, self.dynamic)
        self.assertNotIn(DT_RUNPATH, self.dynamic)

    def test_notices_a_smashed_stack(self):
        self.assertIn("__stack_chk_fail", self.elf.imports())

    @unittest.skipUnless(FORTIFY == "fortified", "no FORTIFY: sanitizers, or no optimiser or glibc")
    def test_checks_the_bounds_of_library_calls(self):
        self.assertTrue(self.elf.checked_calls())


class Objects(unittest.TestCase):
    """What the compiler generated for each file."""

    def test_there_are_objects_of_ours_and_of_the_linked_library(self):
        paths = [path for _, path, _ in commands()]
        self.assertGreater(len([path for path in paths if "/src/lib" in path]), 40)
        linked = [path for path in paths if "/subprojects/wolfssl" in path]
        if LIBRARY == "own":
            self.assertGreater(len(linked), 40)
        else:
            self.assertEqual(linked, [])

    def test_have_landing_pads_and_protected_returns(self):
        machine = Elf(PROGRAM).machine
        if machine not in MARKS:
            self.skipTest("this processor has no such protection")
        kind, bits = MARKS[machine]
        for source, path, _ in commands():
            self.assertEqual(Elf(path).property(kind) & bits, bits, source)

    @unittest.skipUnless(FORTIFY == "fortified", "no FORTIFY: sanitizers, or no optimiser or glibc")
    def test_check_the_bounds_of_library_calls(self):
        for source, _, arguments in commands():
            levels = [a for a in arguments if a.startswith("-D_FORTIFY_SOURCE=")]
            self.assertIn(levels[-1:], [["-D_FORTIFY_SOURCE=2"], ["-D_FORTIFY_SOURCE=3"]], source)
        for folder in ("src", "subprojects") if LIBRARY == "own" else ("src",):
            checked = [path for _, path, _ in commands()
                       if path.startswith(os.path.join(BUILD, folder))
                       and Elf(path).checked_calls()]
            self.assertTrue(checked, f"no object below {folder} calls a checking function")

    def test_are_compiled_with_protection_of_the_stack(self):
        machine = Elf(PROGRAM).machine
        for source, _, arguments in commands():
            self.assertIn("-fstack-protector-strong", arguments, source)
            if machine in MARKS:
                self.assertIn("-fstack-clash-protection", arguments, source)
            self.assertFalse([a for a in arguments if a in (
                "-fno-stack-protector", "-fno-stack-clash-protection")], source)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

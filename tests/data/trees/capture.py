#!/usr/bin/env python3
"""Captures device trees: capture.py QEMU PAYLOAD NAME

Writes NAME-{vof,slof}-{before,after}-cas.dtb and NAME-vof-after-cas-v1.dtb. The guest holds at a station; what
`dumpdtb` gives then is QEMU's tree, which under VOF is the firmware's as well. SLOF keeps a tree of its own, so under
SLOF the guest's flattened tree is cut out of the guest's memory.
"""
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile

MACHINE = "pseries{},cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken"
COMMON = ["-m", "512M,slots=4,maxmem=4G", "-smp", "1,maxcpus=4", "-cpu", "POWER9", "-display", "none", "-vga", "none",
          "-nodefaults", "-serial", "stdio"]
DIMM = ["-object", "memory-backend-ram,id=m0,size=512M", "-device", "pc-dimm,id=d0,memdev=m0"]


def capture(qemu, payload, firmware, station, out, extra_args="", extra=()):
    with tempfile.TemporaryDirectory() as folder:
        qmp_path = os.path.join(folder, "qmp")
        machine = MACHINE.format(",x-vof=on" if firmware == "vof" else "")
        command = [qemu, "-M", machine, *COMMON, "-kernel", payload, "-append", f"hold={station} {extra_args}".strip(),
                   "-qmp", f"unix:{qmp_path},server=on,wait=off", *extra]
        print(" ".join(command))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        try:
            size = wait_for_hold(process.stdout)
            qmp = Qmp(qmp_path)
            if firmware == "vof":
                qmp.do("dumpdtb", filename=os.path.abspath(out))
                pack(out)
            else:
                memory = os.path.join(folder, "memory")
                qmp.do("pmemsave", val=0, size=512 << 20, filename=memory)
                cut(memory, size, out)
        finally:
            process.kill()
            process.wait()


def wait_for_hold(console):
    """Reads the guest's log until it holds; the size of the last tree that it flattened."""
    size = None
    for line in console:
        words = line.decode(errors="replace").split()
        if "tree" in words:
            size = next(int(word[len("bytes="):]) for word in words if word.startswith("bytes="))
        if "hold" in words:
            return size
    raise SystemExit("the guest did not hold")


class Qmp:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.do("qmp_capabilities")

    def do(self, command, **arguments):
        print(json.dumps({"execute": command, "arguments": arguments}), file=self.file, flush=True)
        while True:
            reply = json.loads(self.file.readline())
            if "error" in reply:
                raise SystemExit(reply["error"]["desc"])
            if "return" in reply:
                return reply["return"]


def pack(path):
    """Cuts off the room that QEMU keeps behind the strings, which come last."""
    with open(path, "rb") as file:
        tree = file.read()
    strings, size = struct.unpack_from(">I", tree, 12)[0], struct.unpack_from(">I", tree, 32)[0]
    with open(path, "wb") as file:
        file.write(tree[:4] + struct.pack(">I", strings + size) + tree[8:strings + size])


def cut(memory, size, out):
    """The last flattened tree of this size, which is the guest's: it lies in its heap, at the end of memory."""
    with open(memory, "rb") as file:
        content = file.read()
    at = content.rfind(struct.pack(">II", 0xd00dfeed, size))
    if at < 0:
        raise SystemExit("there is no tree in the guest's memory")
    with open(out, "wb") as file:
        file.write(content[at:at + size])


if __name__ == "__main__":
    qemu, payload, name = sys.argv[1:]
    for firmware in "vof", "slof":
        capture(qemu, payload, firmware, "before-cas", f"{name}-{firmware}-before-cas.dtb")
        capture(qemu, payload, firmware, "tree-read", f"{name}-{firmware}-after-cas.dtb")
    capture(qemu, payload, "vof", "tree-read", f"{name}-vof-after-cas-v1.dtb", "ov5=-drmem-v2", DIMM)

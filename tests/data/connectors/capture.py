#!/usr/bin/env python3
"""Captures event logs and configure-connector streams: capture.py QEMU PAYLOAD NAME

Writes ../events/captured-NAME-*.hex and NAME-*.txt. The guest negotiates and holds before it listens; from there on
the host makes the guest's RTAS calls in its place, through qtest, and reads the buffers out of the guest's memory.
So what is written is what QEMU wrote, byte by byte, and no code of the guest has touched it.
"""
import json
import os
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
EVENTS = os.path.join(HERE, "..", "events")
MACHINE = "pseries,x-vof=on,nvdimm=on,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken"
COMMON = ["-accel", "tcg", "-m", "512M,slots=4,maxmem=4G", "-smp", "1,maxcpus=4", "-cpu", "POWER9", "-display", "none",
          "-vga", "none", "-nodefaults", "-serial", "stdio"]
# A page of the guest's memory that nobody uses while it holds.
SCRATCH = 0x18000000
ISOLATION, ALLOCATION = 9001, 9003
EVERY_EVENT = 0xffffffff
UUID = "12345678-1234-1234-1234-123456789abc"


class Qemu:
    def __init__(self, qemu, payload, extra_arguments=""):
        self.folder = tempfile.TemporaryDirectory()
        qmp, qtest = (os.path.join(self.folder.name, name) for name in ("qmp", "qtest"))
        command = [qemu, "-M", MACHINE, *COMMON, "-kernel", payload,
                   "-append", f"hold=handler-installed {extra_arguments}".strip(),
                   "-qmp", f"unix:{qmp},server=on,wait=off", "-qtest", f"unix:{qtest},server=on,wait=off",
                   "-qtest-log", "none"]
        print(" ".join(command))
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        for line in self.process.stdout:
            if b" hold " in line:
                break
        else:
            raise SystemExit("the guest did not hold")
        self.qmp, self.qtest = connect(qmp), connect(qtest)
        self.qmp.readline()
        self.do("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def do(self, command, **arguments):
        print(json.dumps({"execute": command, "arguments": arguments}), file=self.qmp, flush=True)
        while True:
            reply = json.loads(self.qmp.readline())
            if "error" in reply:
                raise SystemExit(f"{command} {arguments}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]

    def plug(self, driver, **arguments):
        self.do("device_add", driver=driver, **arguments)

    def ask(self, request):
        print(request, file=self.qtest, flush=True)
        reply = self.qtest.readline().split()
        if reply[:1] != ["OK"]:
            raise SystemExit(f"qtest: {request}: {reply}")
        return reply[1:]

    def read(self, address, size):
        return bytes.fromhex(self.ask(f"read {address:#x} {size:#x}")[0][2:])

    def write(self, address, data):
        self.ask(f"write {address:#x} {len(data):#x} 0x{data.hex()}")

    def rtas(self, name, arguments, results=1):
        """Makes a call; its result cells."""
        self.write(SCRATCH, b"".join(argument.to_bytes(4, "big") for argument in arguments))
        out = SCRATCH + 0x100
        self.ask(f"rtas {name} {len(arguments):#x} {SCRATCH:#x} {results:#x} {out:#x}")
        cells = self.read(out, 4 * results)
        return [int.from_bytes(cells[at:at + 4], "big", signed=True) for at in range(0, len(cells), 4)]

    def event(self):
        """Takes one event; none when there is none."""
        buffer = SCRATCH + 0x2000
        self.write(buffer, bytes(2048))
        if self.rtas("check-exception", [0x500, 0, EVERY_EVENT, 0, buffer, 2048])[0] != 0:
            return None
        log = self.read(buffer, 2048)
        return log[:8 + int.from_bytes(log[4:8], "big")]

    def unisolate(self, index):
        if index >> 28 != 4:
            assert self.rtas("set-indicator", [ALLOCATION, index, 1]) == [0]
        assert self.rtas("set-indicator", [ISOLATION, index, 1]) == [0]

    def stream(self, index):
        """Runs configure-connector to its end; each status with the bytes of the work area that it speaks of."""
        area = SCRATCH + 0x1000
        self.write(area, index.to_bytes(4, "big") + bytes(4092))
        while True:
            status = self.rtas("ibm,configure-connector", [area, 0])[0]
            page = self.read(area, 4096)
            yield status, page[:used(status, page)]
            if status not in (2, 3, 4):
                return


def connect(path):
    end = socket.socket(socket.AF_UNIX)
    end.connect(path)
    return end.makefile("rw")


def used(status, page):
    """How many bytes of a work area belong to an answer."""
    cell = lambda at: int.from_bytes(page[at:at + 4], "big")
    if status == 2:
        return page.index(0, cell(8)) + 1
    if status == 3:
        return min(cell(16) + cell(12), len(page))
    return 4


def save_event(name, what, log):
    with open(os.path.join(EVENTS, f"captured-{name}-{what}.hex"), "w") as file:
        print("# Captured by ../connectors/capture.py; see the README there.", file=file)
        for at in range(0, len(log), 16):
            print(log[at:at + 16].hex(), file=file)


def save_stream(name, what, index, stream):
    with open(os.path.join(HERE, f"{name}-{what}.txt"), "w") as file:
        print(f"# Connector {index:08x}; captured by capture.py, see the README.", file=file)
        for status, page in stream:
            print(status, page.hex(), file=file)


def main():
    qemu, payload, name = sys.argv[1:]
    with Qemu(qemu, payload, "ov5=-hp-evt") as guest:
        plug_dimm(guest)
        save_event(name, "memory-add-count", guest.event())
    with Qemu(qemu, payload) as guest:
        cores = guest.do("query-hotpluggable-cpus")
        core = next(core for core in cores if core["props"]["core-id"] == 2)
        nvdimm = os.path.join(guest.folder.name, "nvdimm")
        guest.do("object-add", **{"qom-type": "memory-backend-file", "id": "n0", "mem-path": nvdimm, "share": True,
                                  "size": (256 << 20) + (128 << 10)})
        # What is plugged, its connectors, and the event that tells; the last of each kind is taken back where that works.
        for what, index, plug, unplug in [
            ("cpu", 0x10000002, lambda: guest.plug(core["type"], id="cpu", **{"core-id": 2}), "cpu"),
            ("memory", 0x80000004, lambda: plug_dimm(guest), "memory"),
            ("pci", 0x40000008, lambda: guest.plug("e1000", id="pci", bus="pci.0", addr="1", romfile=""), "pci"),
            ("phb", 0x20000001, lambda: guest.plug("spapr-pci-host-bridge", id="phb", index=1), "phb"),
            ("pmem", 0x90000003, lambda: guest.plug("nvdimm", id="pmem", memdev="n0", slot=3, uuid=UUID,
                                                    **{"label-size": 128 << 10}), None),
        ]:
            plug()
            save_event(name, f"{what}-add", guest.event())
            if what == "phb":
                guest.plug("virtio-rng-pci", id="behind", bus="phb.0", addr="2")
                assert guest.event() is not None
            guest.unisolate(index)
            save_stream(name, what, index, guest.stream(index))
            if what == "memory":
                guest.unisolate(index + 1)
                save_stream(name, "memory-second", index + 1, guest.stream(index + 1))
            if unplug:
                guest.do("device_del", id=unplug)
                save_event(name, f"{what}-remove", guest.event())
            assert guest.event() is None
        guest.do("system_powerdown")
        save_event(name, "epow-shutdown", guest.event())


def plug_dimm(guest):
    guest.do("object-add", **{"qom-type": "memory-backend-ram", "id": "m0", "size": 512 << 20})
    guest.plug("pc-dimm", id="memory", memdev="m0")


main()

//! Everything that the guest can say.
//!
//! One list makes the type, its text form and its parser, so that they cannot drift apart. A record reads
//! `kind key=value key=value`; `-` stands for "none"; numbers that people know in hexadecimal start with `0x`.

use super::field::{Bytes, Field, Hex, Text};
use super::words::{Change, Learned, Outcome, Request, Severity, Verdict};
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::indicator::EntitySense;
use crate::papr::status::{ReturnCode, Status};
use core::fmt::{self, Write};

#[cfg(test)]
pub(crate) mod sample;

macro_rules! records {
    (
        $( $(#[$meta:meta])* $name:ident = $kind:literal {
            $( $(#[$field_meta:meta])* $field:ident: $type:ty, )*
        } )*
    ) => {
        /// One thing that the guest says.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Record<'a> {
            $( $(#[$meta])* $name { $( $(#[$field_meta])* $field: $type, )* }, )*
        }

        impl<'a> Record<'a> {
            /// The words that a record can start with.
            pub const KINDS: &'static [&'static str] = &[$( $kind, )*];

            /// The word that this record starts with.
            pub const fn kind(&self) -> &'static str {
                match self { $( Self::$name { .. } => $kind, )* }
            }

            /// Writes the record as it stands in the log.
            pub fn put(&self, out: &mut dyn Write) -> fmt::Result {
                out.write_str(self.kind())?;
                match self {
                    $( Self::$name { $( $field, )* } => {
                        $( out.write_str(concat!(" ", stringify!($field), "="))?; $field.put(out)?; )*
                    } )*
                }
                Ok(())
            }

            /// Reads what [`Record::put`] wrote.
            pub fn get(text: &'a str) -> Option<Self> {
                let mut words = text.split(' ');
                let record = match words.next()? {
                    $( $kind => Self::$name {
                        $( $field: Field::get(words.next()?.strip_prefix(concat!(stringify!($field), "="))?)?, )*
                    }, )*
                    _ => return None,
                };
                words.next().is_none().then_some(record)
            }

            /// The fields as they stand in the log: for those who show a record in another form.
            pub fn fields(&self) -> alloc::vec::Vec<(&'static str, alloc::string::String)> {
                match self {
                    $( Self::$name { $( $field, )* } => alloc::vec![$( {
                        let mut text = alloc::string::String::new();
                        // A `String` takes everything, so there is no error to pass on.
                        let _ = $field.put(&mut text);
                        (stringify!($field), text)
                    }, )*], )*
                }
            }
        }

        /// Records for the round trip test.
        #[cfg(test)]
        pub(super) mod arbitrary {
            use super::{Record, sample::Seeds};

            /// One record of every kind, with fields drawn from `seeds`.
            pub(in crate::log) fn all_kinds(seeds: &[u64]) -> alloc::vec::Vec<Record<'static>> {
                let mut seeds = Seeds::new(seeds);
                alloc::vec![$( Record::$name { $( $field: seeds.draw(), )* }, )*]
            }
        }
    };
}

records! {
    /// The payload runs: who started it and what it found.
    Boot = "boot" {
        /// The payload's version.
        version: Text<'a>,
        /// `slof`, `vof` or `unknown`; `none` where an earlier life of the guest has begun this one without a reset.
        firmware: Text<'a>,
        /// The processor version register.
        pvr: Hex,
        /// The machine state register at entry.
        msr: Hex,
        /// Where the payload was loaded.
        base: Hex,
        /// Ticks of the time base in a second; 0 where the tree does not say.
        tick_rate: u32,
        /// Where the initial ramdisk starts; 0 without one.
        initrd: Hex,
        /// Bytes of the initial ramdisk.
        initrd_size: u64,
    }
    /// What an earlier boot left in memory, and where it was last.
    Relic = "relic" {
        /// `ours`, `blank` or `foreign`: memory may survive a reset, and need not.
        found: Text<'a>,
        /// Which boot it was, counted from 1; 0 where it is not ours.
        boot: u32,
        /// The last station that it came to.
        station: Text<'a>,
        /// Its calls by then.
        calls: u64,
    }
    /// Which boot this is, and who says so.
    Life = "life" {
        /// Counted from 1: one more than the larger of the two.
        number: u32,
        /// What NVRAM held: `ours`, `blank`, `foreign`, `damaged`; `full` where it has no room for a note, `none` where there is none.
        nvram: Text<'a>,
        /// The last boot by the note in NVRAM; 0 without one.
        noted: u32,
        /// The last boot by what survived in memory; 0 where nothing did.
        survived: u32,
    }
    /// What the last boot had, by its note, against what the tree gives now.
    Heritage = "heritage" {
        /// How many connectors it had.
        connectors: u32,
        /// How many of those that it noted are given again.
        kept: u32,
        /// Which are not.
        gone: Text<'a>,
        /// Which are given that it had not noted.
        new: Text<'a>,
    }
    /// The boot arguments as they were understood.
    Arguments = "arguments" {
        /// The text of `/chosen/bootargs`.
        text: Text<'a>,
    }
    /// A boot argument that means nothing to this guest, or is malformed; the guest goes on without it.
    Argument = "argument" {
        /// The word as it was given.
        word: Text<'a>,
        /// What is wrong with it.
        problem: Text<'a>,
    }
    /// A line of help.
    Help = "help" {
        /// The argument.
        word: Text<'a>,
        /// What it does.
        meaning: Text<'a>,
    }
    /// Something worth knowing.
    Note = "note" {
        /// In plain words.
        text: Text<'a>,
    }
    /// Something is wrong.
    Problem = "problem" {
        /// How bad it is.
        severity: Severity,
        /// Where: a call, a node, a file of the specification.
        what: Text<'a>,
        /// In plain words.
        detail: Text<'a>,
    }
    /// The firmware has low memory for a while: a fault between here and `close` is its own.
    Firmware = "firmware" {
        /// `open` or `close`.
        window: Text<'a>,
        /// What it is called for.
        why: Text<'a>,
        /// Calls to the firmware and the hypervisor so far in this boot.
        calls: u64,
    }
    /// The device tree as it was read through the client interface.
    Tree = "tree" {
        /// `before-cas` or `after-cas`; `restart` where an earlier life has kept it.
        when: Text<'a>,
        /// How many nodes it has.
        nodes: u32,
        /// How many properties they have together.
        properties: u32,
        /// Bytes of the flattened tree.
        bytes: u32,
    }
    /// What CAS changed in one node.
    TreeDiff = "tree-diff" {
        /// The path of the node.
        node: Text<'a>,
        /// What happened to it.
        change: Change,
        /// Properties that are new.
        came: Text<'a>,
        /// Properties that are gone.
        went: Text<'a>,
        /// Properties with other values.
        changed: Text<'a>,
    }
    /// What the guest asks of `ibm,client-architecture-support`.
    CasAsk = "cas-ask" {
        /// The processor versions of its list, as `mask/value`.
        pvr: Text<'a>,
        /// The option vectors, each with its length byte, from vector 1.
        vectors: Bytes<'a>,
        /// How CAS is called: `method`, `hcall`, or `hcall:` and the bytes for the tree.
        by: Text<'a>,
        /// How the argument is laid out: `sound`, or a way that the specification does not have.
        form: Text<'a>,
    }
    /// What `ibm,client-architecture-support` answered.
    CasAnswer = "cas-answer" {
        /// The first return cell: 0, or the code with which the call was thrown out.
        catch: ReturnCode,
        /// The second return cell: what the method returns.
        result: ReturnCode,
        /// `ibm,architecture-vec-5` after the call.
        granted: Option<Bytes<'a>>,
    }
    /// One option of vector 5 that has a name.
    CasOption = "cas-option" {
        /// The name of the option.
        name: Text<'a>,
        /// What the guest asked for.
        asked: u8,
        /// What it got.
        granted: u8,
    }
    /// An event source of the device tree.
    Source = "source" {
        /// The node's name.
        name: Text<'a>,
        /// Its interrupt.
        irq: Hex,
        /// Whether the interrupt is level-triggered.
        level: bool,
        /// The event classes that it signals.
        mask: Hex,
    }
    /// The interrupt controller that the guest works with.
    Controller = "controller" {
        /// `xics` or `xive`.
        name: Text<'a>,
        /// XIVE: the operating system's page of the thread interrupt management area.
        page: Option<Hex>,
        /// XIVE: bytes of a queue.
        queue: Option<Hex>,
        /// How sources are switched and ended: `calls`, or `pages` where a load or a store does.
        sources: Text<'a>,
    }
    /// Something was done with the XIVE controller.
    Xive = "xive" {
        /// The call: `reset`, `set-queue`, `source-info`, `set-source`, `get-source`; or what was done by the source's page:
        /// `let-through`, `keep-back`, `trigger`.
        call: Text<'a>,
        /// The interrupt.
        irq: Option<Hex>,
        /// The server that it goes to.
        server: Option<u32>,
        /// The priority.
        priority: Option<u32>,
        /// What the call returned.
        rc: ReturnCode,
        /// Bytes of a queue; the page of a source; or for what moves a source its bits P (2) and Q (1) before.
        value: Option<Hex>,
    }
    /// A call that switches an interrupt source.
    Irq = "irq" {
        /// The interrupt.
        irq: Hex,
        /// What was asked: `set-xive`, `get-xive`, `int-on`, `int-off`.
        call: Text<'a>,
        /// The server that it goes to.
        server: u32,
        /// The priority.
        priority: u32,
        /// What the call returned.
        rc: Status,
    }
    /// An external interrupt was taken, and what it brought.
    Interrupt = "interrupt" {
        /// How many external interrupts the thread that took it has had in this boot, with this one.
        count: u64,
        /// The source, or none where it was spurious.
        irq: Option<Hex>,
        /// The time base in the vector.
        taken: u64,
        /// The time base when the queue was empty and the interrupt ended.
        drained: u64,
        /// How many events it brought.
        events: u32,
    }
    /// An interrupt was taken by another thread than the one that speaks; `interrupt` follows, with that thread's count.
    Heard = "heard" {
        /// The thread's interrupt server number.
        server: u32,
        /// The source, or none where it was spurious.
        irq: Option<Hex>,
        /// The time base in the vector.
        taken: u64,
    }
    /// The queue was read until it was empty.
    Drain = "drain" {
        /// `check-exception` or `event-scan`.
        call: Text<'a>,
        /// The classes that were asked for.
        mask: Hex,
        /// How many events came.
        events: u32,
        /// The last status.
        rc: Status,
    }
    /// One call of check-exception as the host wished it.
    Check = "check" {
        /// The classes that were asked for.
        mask: Hex,
        /// The length of the buffer, as the hypervisor was told.
        length: u32,
        /// Where the buffer was, if it was not in the guest's own memory.
        at: Option<Hex>,
        /// The status.
        rc: Status,
        /// Bytes just before the buffer that were written.
        before: u32,
        /// Bytes from the start of the buffer to the last that was written.
        written: u32,
        /// The event that came, where the whole of its log was found.
        event: Option<u32>,
    }
    /// An event was taken from the queue.
    Event = "event" {
        /// Counts the events of this boot from 1.
        number: u32,
        /// `hotplug`, `epow`, or `unknown` where the log could not be understood.
        class: Text<'a>,
        /// What kind of resource, for a hotplug event.
        resource: Text<'a>,
        /// What is to be done with it.
        action: Text<'a>,
        /// Which one, as `index:…`, `count:…`, `count-indexed:n@…` or `name:…`.
        id: Text<'a>,
        /// Bytes of the log.
        length: u32,
    }
    /// A section of an event log.
    Section = "section" {
        /// The event.
        event: u32,
        /// Its two letters, or the number where they are none.
        id: Text<'a>,
        /// Its length with its header.
        length: u16,
        /// Its version.
        version: u8,
        /// The bytes after the header.
        bytes: Bytes<'a>,
    }
    /// The bytes of an event that could not be understood: nothing is lost.
    EventBytes = "event-bytes" {
        /// The event.
        event: u32,
        /// What is wrong with it.
        problem: Text<'a>,
        /// All of it.
        bytes: Bytes<'a>,
    }
    /// The guest turns to a connector.
    Begin = "begin" {
        /// The connector.
        drc: DrcIndex,
        /// What it connects.
        kind: DrcKind,
        /// What is to be done.
        request: Request,
        /// How the guest learned of it.
        learned: Learned,
        /// The event that told.
        event: Option<u32>,
    }
    /// The guest was told to treat a request in another way than to do what it asks.
    Policy = "policy" {
        /// The connector.
        drc: DrcIndex,
        /// What it connects.
        kind: DrcKind,
        /// What is asked.
        request: Request,
        /// The way.
        manner: Text<'a>,
    }
    /// A sensor was read.
    Sense = "sense" {
        /// The connector.
        drc: DrcIndex,
        /// What the call returned.
        rc: Status,
        /// What it reads.
        state: EntitySense,
    }
    /// A call that moves a connector.
    Transition = "transition" {
        /// The connector.
        drc: DrcIndex,
        /// What it connects.
        kind: DrcKind,
        /// The call: an indicator, or `configure-connector`.
        call: Text<'a>,
        /// The value that was set, by its name.
        value: Text<'a>,
        /// What the call returned.
        rc: Status,
        /// What the guest takes the state to have been.
        before: Text<'a>,
        /// What it takes it to be now.
        after: Text<'a>,
    }
    /// What configure-connector handed out.
    Fragment = "fragment" {
        /// The connector.
        drc: DrcIndex,
        /// The name of its first node.
        node: Text<'a>,
        /// How many nodes.
        nodes: u32,
        /// How many properties.
        properties: u32,
        /// How many calls it took.
        calls: u32,
    }
    /// A property of a fragment or of a tree, where it was asked for.
    Property = "property" {
        /// The node's path.
        node: Text<'a>,
        /// The property's name.
        name: Text<'a>,
        /// Its value.
        value: Bytes<'a>,
    }
    /// What the tree says of nearness.
    Affinity = "affinity" {
        /// The form that was granted: 1 or 2, or 0 for none.
        form: u8,
        /// Which places of an associativity matter, counted from 1; the first is the node.
        points: Text<'a>,
        /// How many lists memory blocks can refer to.
        arrays: u32,
        /// The nodes that the distances are about.
        nodes: Text<'a>,
        /// The distance of each node from each, row by row.
        distances: Text<'a>,
    }
    /// Where a resource is near.
    Numa = "numa" {
        /// The connector.
        drc: DrcIndex,
        /// `fragment` or `tree`.
        told_by: Text<'a>,
        /// The domains that hold it, the largest first.
        domains: Text<'a>,
        /// The domain at the first reference point.
        node: Option<u32>,
        /// How far the nodes are from it; empty where nothing says.
        distances: Text<'a>,
    }
    /// A logical memory block was written and read back.
    Memory = "memory" {
        /// The connector.
        drc: DrcIndex,
        /// Its real address.
        base: Hex,
        /// Bytes.
        size: Hex,
        /// Pages that got their pattern.
        pages: u64,
        /// Pages that did not hold it.
        bad: u64,
    }
    /// A call about a persistent memory device.
    Scm = "scm" {
        /// The connector.
        drc: DrcIndex,
        /// The call: `unbind-all`, `bind`, `unbind`, `health`, `read-metadata`, `write-metadata`, `flush`.
        call: Text<'a>,
        /// What it is about: blocks, or an offset of the metadata.
        about: Hex,
        /// What it returned in the end.
        rc: ReturnCode,
        /// What it handed out: an address, blocks, health bits or data.
        value: Hex,
        /// What it handed out beside that: blocks that were bound, or which health bits mean something.
        more: Hex,
    }
    /// The guest has read a doubleword of memory that is not its own any more.
    Touch = "touch" {
        /// The connector of the block.
        drc: DrcIndex,
        /// Where.
        address: Hex,
        /// What was there; nothing where reading it raised an exception.
        value: Option<Hex>,
    }
    /// A persistent memory device.
    Pmem = "pmem" {
        /// The connector.
        drc: DrcIndex,
        /// What the device calls itself.
        unit: Text<'a>,
        /// Bytes of a block.
        block: Hex,
        /// How many blocks it has.
        blocks: u64,
        /// Bytes of metadata.
        metadata: u32,
        /// Whether what was written must be flushed by a call.
        flush: bool,
    }
    /// What persistent memory held before this guest wrote to it.
    Content = "content" {
        /// The connector.
        drc: DrcIndex,
        /// `ours`, `blank` or `foreign`.
        found: Text<'a>,
        /// How many guests had been there before this one.
        lives: u64,
        /// Pages that were to hold the pattern of the last of them.
        pages: u64,
        /// Pages that did not.
        bad: u64,
    }
    /// A thread of a core was started, ran on its own stack and reported.
    Thread = "thread" {
        /// The connector of its core; none for a core that was there from the start.
        drc: Option<DrcIndex>,
        /// Its interrupt server number.
        server: u32,
        /// What was done with it: `start`, `run`, `stop`.
        step: Text<'a>,
        /// What the call returned.
        rc: Status,
        /// For `run`: its stack pointer; for `stop`: how often it was asked whether it stands still.
        value: Hex,
    }
    /// A PCI host bridge that the guest uses.
    Phb = "phb" {
        /// Its connector.
        drc: DrcIndex,
        /// The number by which RTAS knows it.
        bridge: Hex,
        /// The first bus behind it.
        first: u8,
        /// The last bus behind it.
        last: u8,
        /// How many connectors it brings.
        slots: u32,
    }
    /// A part of the address space that leads to a PCI bus.
    Window = "window" {
        /// The connector of the host bridge, or of the bridge that forwards it.
        drc: DrcIndex,
        /// `io`, `memory32` or `memory64`.
        space: Text<'a>,
        /// The first address on the bus.
        bus: Hex,
        /// The first real address.
        real: Hex,
        /// Bytes.
        size: Hex,
    }
    /// A PCI function was found in configuration space, and is what its node says.
    Pci = "pci" {
        /// Its connector.
        drc: DrcIndex,
        /// The number of its host bridge.
        bridge: Hex,
        /// Bus, device and function.
        address: Text<'a>,
        /// Who made it.
        vendor: Hex,
        /// Which model it is.
        device: Hex,
        /// What it is for.
        class: Hex,
        /// Who speaks to it: `virtio`, `e1000`, `bridge`, or `none`.
        driver: Text<'a>,
    }
    /// A base address register was sized and given an address.
    Bar = "bar" {
        /// The connector of its function.
        drc: DrcIndex,
        /// Which register.
        index: u8,
        /// `io`, `memory32` or `memory64`.
        space: Text<'a>,
        /// Bytes.
        size: Hex,
        /// The address on the bus; none where it fits into no window.
        base: Option<Hex>,
        /// Who chose it: `firmware` or `guest`.
        from: Text<'a>,
    }
    /// Something was read from a device.
    Io = "io" {
        /// The connector of its function.
        drc: DrcIndex,
        /// Which register.
        what: Text<'a>,
        /// Its real address.
        address: Hex,
        /// What was read.
        value: Hex,
    }
    /// Work was spread over all threads that run, beside the one that speaks.
    Work = "work" {
        /// How many threads had a part in it.
        threads: u32,
        /// How many numbers they added up.
        numbers: u64,
        /// The sum of their sums.
        sum: u64,
        /// What it is to be.
        expected: u64,
        /// Ticks of the time base that it took.
        ticks: u64,
    }
    /// A call that was made to see what comes of it: a row of the table of transitions.
    Row = "row" {
        /// The connector.
        drc: DrcIndex,
        /// What it connects.
        kind: DrcKind,
        /// The state before the call; `unknown` for an index that nobody has.
        before: Text<'a>,
        /// The call.
        call: Text<'a>,
        /// What it returned; of configure-connector the last status.
        rc: Status,
        /// What a sensor read; 0 for other calls.
        sense: EntitySense,
        /// The state after it, as far as calls can tell.
        after: Text<'a>,
        /// Whether a correct hypervisor answers so.
        expected: bool,
    }
    /// All connectors of a kind have been measured.
    Tour = "tour" {
        /// What they connect.
        kind: DrcKind,
        /// How many rows were printed.
        rows: u32,
        /// How many of them are not what a correct hypervisor answers.
        unexpected: u32,
        /// How many could not be, for want of connectors.
        missing: u32,
    }
    /// What became of a request.
    Done = "done" {
        /// The connector.
        drc: DrcIndex,
        /// What it connects.
        kind: DrcKind,
        /// What was to be done.
        request: Request,
        /// What became of it.
        outcome: Outcome,
        /// Why, where it did not work.
        reason: Text<'a>,
    }
    /// The guest waits for the host.
    Hold = "hold" {
        /// Where.
        station: Text<'a>,
        /// For the how-manieth time it is there.
        visit: u32,
        /// Calls so far in this boot.
        calls: u64,
    }
    /// The host said something.
    Order = "order" {
        /// What.
        line: Text<'a>,
    }
    /// The guest was told that its machine has been migrated, and has looked around.
    Moved = "moved" {
        /// Connectors whose resource it has.
        held: u32,
        /// How many things are not as they were; each has been told.
        odd: u32,
        /// The longest time between two looks at the terminal since the last move, in ticks.
        away: u64,
    }
    /// The heap.
    Heap = "heap" {
        /// Bytes it has.
        size: u64,
        /// Bytes in use.
        used: u64,
        /// The most that was ever in use.
        high_water: u64,
    }
    /// An exception that nobody expected. The guest ends.
    Exception = "exception" {
        /// Its name.
        name: Text<'a>,
        /// The vector.
        vector: Hex,
        /// The CPU's interrupt server number.
        server: u32,
        /// Where.
        srr0: Hex,
        /// The machine state.
        srr1: Hex,
        /// The data address.
        dar: Hex,
        /// Why, for a data access.
        dsisr: Hex,
    }
    /// Four of the registers at an exception.
    Registers = "registers" {
        /// The first of them.
        first: u8,
        /// r(first).
        a: Hex,
        /// r(first + 1).
        b: Hex,
        /// r(first + 2).
        c: Hex,
        /// r(first + 3).
        d: Hex,
    }
    /// The registers that are not numbered.
    Special = "special" {
        /// Link register.
        lr: Hex,
        /// Count register.
        ctr: Hex,
        /// Condition register.
        cr: Hex,
        /// Fixed-point exception register.
        xer: Hex,
    }
    /// One frame of a back trace, the innermost first; addresses are those of the ELF file.
    Frame = "frame" {
        /// Counts from 0.
        depth: u32,
        /// The return address, less the address where the payload was loaded.
        address: Hex,
        /// The stack pointer.
        stack: Hex,
    }
    /// The payload gave up.
    Panic = "panic" {
        /// The file.
        file: Text<'a>,
        /// The line.
        line: u32,
        /// Why.
        message: Text<'a>,
    }
    /// The last line: what the guest thinks of its own life.
    End = "end" {
        /// Its verdict.
        verdict: Verdict,
        /// What it does now.
        then: Text<'a>,
        /// Requests that ended as they should.
        done: u32,
        /// Requests that failed.
        failed: u32,
        /// Problems that were not minor.
        problems: u32,
        /// Events that could not be understood.
        unknown: u32,
    }
}

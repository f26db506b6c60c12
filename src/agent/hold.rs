//! Holding: the guest says where it is, and waits for an order from the host.
//!
//! While it waits it touches nothing that a hotplug is about. It looks at the terminal and gives the processor away in
//! between: a guest that asks in a tight loop keeps QEMU's main loop from its work. A guest that idles has an ear for the
//! terminal as well.

use super::journal;
use crate::log::{Record, Severity};
use crate::machine::{Clock, Hypervisor};
use crate::papr::hcall::{Hcall, TERM_CHARS};
use crate::word_enum;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

word_enum! {
    /// What the host can tell a guest that holds.
    pub enum Order {
        /// Go on.
        Go = "go",
        /// Take what is in the queue with check-exception, and keep it until it is its turn.
        Poll = "poll",
        /// The same with event-scan.
        EventScan = "event-scan",
        /// Call check-exception once, with a mask, a length and a buffer that follow, and look what was written.
        Check = "check",
        /// End the interrupts that were accepted, and leave the queue alone.
        Drop = "drop",
        /// Open this processor for interrupts.
        Open = "open",
        /// Close this processor for interrupts.
        Close = "close",
        /// Switch the event sources on.
        Arm = "arm",
        /// Switch the event sources off.
        Mask = "mask",
        /// Reset the machine.
        Reset = "reset",
        /// Begin anew without a reset, as an operating system that another one starts by kexec.
        Restart = "restart",
        /// Start a watchdog of the platform's, which resets the machine: after how many milliseconds follows, and `@` with
        /// its number where it is not the first.
        Watchdog = "watchdog",
        /// Panic.
        Panic = "panic",
        /// Negotiate once more. Words about CAS may follow, as in the boot arguments; they count this once.
        Cas = "cas",
        /// Read every sensor and every source, and say what is not as in an empty machine.
        Dump = "dump",
        /// Look whether all is as it was: the machine has been migrated.
        Migrated = "migrated",
        /// Treat requests in another way from now on: rules follow, as in the boot argument.
        Policy = "policy",
        /// Take a boot argument from now on, which follows.
        Set = "set",
        /// Send interrupts to another thread, whose number follows; `stay` behind it: even when that thread stops.
        Route = "route",
    }
}

impl Order {
    /// Whether it takes something that follows its word, or nothing.
    const fn takes(self, argument: &str) -> bool {
        match self {
            Self::Policy | Self::Set | Self::Route | Self::Watchdog | Self::Check => !argument.is_empty(),
            Self::Cas => true,
            _ => argument.is_empty(),
        }
    }
}

word_enum! {
    /// How a guest waits that has nothing to do but look at the terminal.
    pub enum Wait {
        /// It gives the processor away, until an interrupt or its decrementer wakes it.
        Cede = "cede",
        /// It keeps the processor in between, for platforms that may forget the decrementer.
        Spin = "spin",
    }
}

/// An order, and what follows its word.
pub type Said = (Order, String);

/// The longest line that is taken from the host; what is longer is cut. The longest option vector fits.
const LINE: usize = 1024;
/// How long the terminal is left alone between two looks: a half millisecond.
const LOOKS_PER_SECOND: u64 = 2000;

/// What the host has typed and nobody has read yet: a call may bring the end of one line and the start of the next.
#[derive(Debug)]
pub struct Typed {
    chars: [u8; TERM_CHARS],
    at: usize,
    end: usize,
    line: [u8; LINE],
    len: usize,
    silence: Silence,
}

/// The times between two looks at the terminal.
#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    /// When it was looked at last, where the guest has done nothing else since.
    looked: Option<u64>,
    /// The longest time between two looks, in ticks.
    longest: u64,
}

impl Silence {
    fn look(&mut self, now: u64) {
        let since = self.looked.replace(now).map_or(0, |before| now.saturating_sub(before));
        self.longest = self.longest.max(since);
    }
}

impl Default for Typed {
    fn default() -> Self {
        let silence = Silence::default();
        Self { chars: [0; TERM_CHARS], at: 0, end: 0, line: [0; LINE], len: 0, silence }
    }
}

impl Typed {
    /// The longest time in which a guest that had nothing to do but look at the terminal did not look, in ticks; counted
    /// anew from here on.
    pub fn longest_silence(&mut self) -> u64 {
        core::mem::take(&mut self.silence).longest
    }

    /// The guest begins to wait: what it did before was no silence.
    pub fn begin(&mut self) {
        self.silence.looked = None;
    }

    /// The next character, if one has been typed.
    fn next<M: Hypervisor>(&mut self, machine: &mut M) -> Option<u8> {
        if self.at == self.end {
            (self.chars, self.end) = machine.hcall(Hcall::get_term_char(journal::terminal())).term_chars();
            self.at = 0;
        }
        let next = *self.chars[..self.end].get(self.at)?;
        self.at += 1;
        Some(next)
    }

    /// The next line without its end, if the whole of it has been typed.
    fn line<M: Hypervisor>(&mut self, machine: &mut M) -> Option<String> {
        loop {
            match self.next(machine)? {
                b'\r' | b'\n' => {
                    let len = core::mem::take(&mut self.len);
                    return Some(String::from_utf8_lossy(&self.line[..len]).trim().into());
                }
                byte => {
                    if let Some(place) = self.line.get_mut(self.len) {
                        *place = byte;
                        self.len += 1;
                    }
                }
            }
        }
    }
}

/// How long a guest that waits leaves the terminal alone between two looks, in ticks.
fn between_looks<M: Clock>(machine: &M) -> u64 {
    machine.tick_rate() / LOOKS_PER_SECOND
}

/// Waits a little, so that it is time for the next look at the terminal, and takes the interrupts that are waiting.
pub fn wait<M: Clock>(machine: &mut M, how: Wait) {
    let ticks = between_looks(machine);
    if how == Wait::Cede {
        return machine.pause(ticks);
    }
    let begin = machine.ticks();
    while machine.ticks().wrapping_sub(begin) < ticks {
        core::hint::spin_loop();
    }
    machine.breathe();
}

/// Waits for one of these orders. What else comes is named, and the waiting goes on.
pub fn order<M: Hypervisor + Clock>(machine: &mut M, typed: &mut Typed, known: &[Order], how: Wait) -> Said {
    typed.begin();
    loop {
        match hear(machine, typed, known) {
            Some(said) => return said,
            None => wait(machine, how),
        }
    }
}

/// One of these orders, if one has been typed. What else has been is named.
pub fn hear<M: Hypervisor + Clock>(machine: &mut M, typed: &mut Typed, known: &[Order]) -> Option<Said> {
    typed.silence.look(machine.ticks());
    loop {
        let line = typed.line(machine)?;
        let (word, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let fits = |order: &&Order| order.word() == word && order.takes(argument);
        match known.iter().find(fits) {
            Some(order) => {
                journal::say(machine, &Record::Order { line: line.as_str().into() });
                return Some((*order, argument.trim().into()));
            }
            None if line.is_empty() => {}
            None => {
                let words: Vec<&str> = known.iter().map(|order| order.word()).collect();
                let detail = format!("{line:?} is no order here; these are: {}", words.join(", "));
                let problem = Record::Problem {
                    severity: Severity::Minor,
                    what: "order".into(),
                    detail: detail.into(),
                };
                journal::say(machine, &problem);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Hcall, Hypervisor, Order, Silence, Typed, Wait, order};
    use crate::papr::hcall::Reply;
    use crate::papr::status::ReturnCode;

    /// A terminal: it hands out what was typed, a few characters at a time, and shows what was printed.
    struct Typist {
        typed: Vec<u8>,
        shown: String,
        pauses: u32,
        breaths: u32,
        ticks: core::cell::Cell<u64>,
    }

    impl Hypervisor for Typist {
        fn hcall(&mut self, call: Hcall) -> Reply {
            let (opcode, [_, len, high, low, _]) = call.registers();
            let mut values = [0; 4];
            if opcode == 0x58 {
                let chars = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
                self.shown.push_str(core::str::from_utf8(&chars[..len as usize]).unwrap());
            } else if self.pauses % 2 == 1 {
                let portion: Vec<u8> = self.typed.drain(..self.typed.len().min(9)).collect();
                let mut chars = [0; 16];
                chars[..portion.len()].copy_from_slice(&portion);
                let packed = u128::from_be_bytes(chars);
                values = [portion.len() as u64, (packed >> 64) as u64, packed as u64, 0];
                self.pauses += u32::from(portion.is_empty());
            }
            Reply { code: ReturnCode::SUCCESS, values }
        }
    }

    impl Clock for Typist {
        fn ticks(&self) -> u64 {
            self.ticks.set(self.ticks.get() + 1000);
            self.ticks.get()
        }
        fn tick_rate(&self) -> u64 {
            512_000_000
        }
        fn pause(&mut self, _: u64) {
            self.pauses += 1;
            assert!(self.pauses < 1000, "it does not come back");
        }
        fn breathe(&mut self) {
            self.breaths += 1;
        }
    }

    #[test]
    fn the_longest_silence_is_the_one_while_the_guest_waits() {
        let mut silence = Silence::default();
        for now in [1000, 1010, 1500, 1510] {
            silence.look(now);
        }
        assert_eq!(silence.longest, 490);
        let mut typed = Typed { silence, ..Typed::default() };
        typed.begin();
        typed.silence.look(9000);
        assert_eq!((typed.longest_silence(), typed.longest_silence()), (490, 0));
    }

    #[test]
    fn a_guest_that_spins_keeps_the_processor_between_two_looks() {
        let mut typist = Typist {
            typed: Vec::new(),
            shown: String::new(),
            pauses: 0,
            breaths: 0,
            ticks: Default::default(),
        };
        super::wait(&mut typist, Wait::Spin);
        assert_eq!((typist.pauses, typist.breaths, typist.ticks.get() >= 256_000), (0, 1, true));
        super::wait(&mut typist, Wait::Cede);
        assert_eq!((typist.pauses, typist.breaths, typist.ticks.get() < 300_000), (1, 1, true));
    }

    #[test]
    fn it_waits_for_an_order_and_names_what_is_none() {
        let typed =
            b"\r\njump\ndump now\ncas form=odd\ncas\ndump\npolicy\npolicy refuse,pci:late:9\ngo\n".to_vec();
        let mut typist =
            Typist { typed, shown: String::new(), pauses: 0, breaths: 0, ticks: Default::default() };
        let mut kept = Typed::default();
        let none = String::new();
        let some = [Order::Cas, Order::Dump, Order::Go];
        assert_eq!(order(&mut typist, &mut kept, &some, Wait::Cede), (Order::Cas, "form=odd".into()));
        for wanted in [Order::Cas, Order::Dump] {
            assert_eq!(order(&mut typist, &mut kept, &some, Wait::Cede), (wanted, none.clone()));
        }
        let policy = (Order::Policy, "refuse,pci:late:9".into());
        assert_eq!(order(&mut typist, &mut kept, Order::ALL, Wait::Cede), policy);
        assert_eq!(order(&mut typist, &mut kept, &[Order::Go], Wait::Cede), (Order::Go, none));
        for wrong in ["dump%20now", "policy\""] {
            assert!(
                typist.shown.contains(&format!("{wrong}\"%20is").replace("\"\"", "\"")),
                "{wrong}: {}",
                typist.shown
            );
        }
        assert!(typist.shown.contains("\"jump\"%20is%20no%20order"), "{}", typist.shown);
        assert!(typist.shown.contains("order line=dump") && typist.shown.contains("order line=go"));
        assert!(typist.pauses > 0, "it gave the processor away");
    }
}

//! Boot arguments: what the user tells the guest on QEMU's `-append`.
//!
//! Words between white space, most of them `key=value`. One table holds each key with its help and its reader, so that
//! none can be without help. A later word overrides an earlier one with the same key. A word that means nothing is
//! handed back with a sentence that says what would be right, and is otherwise as if it had not been given: a guest
//! that stops over a typing error would look like a broken hypervisor.

mod keys;
mod way;

pub use way::Way;

use super::hold::Wait;
use super::station::{Holds, Station};
use crate::hotplug::policy::Rules;
use crate::machine::Crash as CrashKind;
use crate::papr::option_vectors::{Form, Overrides};
use crate::word_enum;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use keys::{KEYS, Take};

word_enum! {
    /// What the guest does at its end.
    pub enum Then {
        /// Powers the machine off.
        Poweroff = "poweroff",
        /// Waits for ever, without spinning.
        Idle = "idle",
        /// Resets the machine.
        Reboot = "reboot",
        /// Says that it panicked.
        Panic = "panic",
    }
}

word_enum! {
    /// What the guest lives for.
    pub enum Task {
        /// To take what is plugged, use it and give it back.
        Hotplug = "hotplug",
        /// To measure the connectors of what is plugged: every call from every state.
        Transitions = "transitions",
    }
}

word_enum! {
    /// When the guest's end comes.
    pub enum Until {
        /// When an event or the host tells it to shut down.
        Shutdown = "shutdown",
        /// When the queue was drained for the first time after arming.
        Armed = "armed",
    }
}

/// A crash that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// How.
    pub kind: CrashKind,
    /// Where: at the first visit to this station.
    pub at: Station,
}

word_enum! {
    /// How densely memory is tested.
    pub enum MemTest {
        /// Each 4 KiB get a pattern.
        Small = "4k",
        /// Each 64 KiB do: 16 times faster.
        Large = "64k",
        /// Each MiB does, for those who are in a hurry.
        Huge = "1m",
        /// One page of each block does.
        Block = "256m",
        /// Memory is taken and given back without being touched.
        Off = "none",
    }
}

impl MemTest {
    /// Bytes from one pattern to the next; `None` for no test.
    pub const fn stride(self) -> Option<u64> {
        match self {
            Self::Small => Some(4 << 10),
            Self::Large => Some(64 << 10),
            Self::Huge => Some(1 << 20),
            Self::Block => Some(256 << 20),
            Self::Off => None,
        }
    }
}

word_enum! {
    /// How persistent memory is treated that says that it cannot keep anything.
    pub enum Manners {
        /// It is only read, as systems do.
        Careful = "careful",
        /// It is written to like any other: for those who want to know what the hypervisor makes of that.
        Bold = "bold",
    }
}

word_enum! {
    /// How the guest reaches the sources of a XIVE controller.
    pub enum Sources {
        /// By their pages.
        Pages = "pages",
        /// By `H_INT_ESB`.
        Calls = "calls",
    }
}

word_enum! {
    /// What can be printed in full, as it is long.
    pub enum Print {
        /// The properties that configure-connector hands out.
        Fragments = "fragments",
        /// The device tree, before CAS and after it.
        Tree = "tree",
        /// The sections of each event.
        Sections = "sections",
    }
}

/// What the boot arguments say, with the defaults for what they do not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Whether the help is to be printed.
    pub help: bool,
    /// Where to wait for the host.
    pub holds: Holds,
    /// What to do at the end.
    pub then: Then,
    /// When the end comes.
    pub until: Until,
    /// The crash that was asked for.
    pub crash: Option<Crash>,
    /// What to change about the argument of CAS.
    pub overrides: Overrides,
    /// How to lay the argument of CAS out.
    pub form: Form,
    /// How to call CAS.
    pub cas: Way,
    /// What to live for.
    pub task: Task,
    /// How densely to test memory.
    pub memtest: MemTest,
    /// How the guest treats what the host asks of it.
    pub policy: Rules,
    /// How to treat persistent memory that cannot keep anything.
    pub pmem: Manners,
    /// How to wait for the host.
    pub wait: Wait,
    /// How to reach the sources of a XIVE controller.
    pub xive: Sources,
    /// What to print in full.
    pub print: Vec<Print>,
    /// The most bytes that the flattened tree may have; the guest chooses where there is none.
    pub tree_max: Option<u64>,
    /// Bytes of the heap; the guest chooses where there is none.
    pub heap: Option<u64>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            help: false,
            holds: Holds::default(),
            then: Then::Poweroff,
            until: Until::Shutdown,
            crash: None,
            overrides: Overrides::default(),
            form: Form::Sound,
            cas: Way::Method,
            task: Task::Hotplug,
            memtest: MemTest::Small,
            policy: Rules::default(),
            pmem: Manners::Careful,
            wait: Wait::Cede,
            xive: Sources::Pages,
            print: Vec::new(),
            tree_max: None,
            heap: None,
        }
    }
}

/// A word that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// As it was given.
    pub word: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl Arguments {
    /// Reads the text of `/chosen/bootargs`. No text is an error: what could not be read is in the list.
    pub fn parse(text: &str) -> (Self, Vec<Malformed>) {
        let mut arguments = Self::default();
        let malformed = text.split_whitespace().filter_map(|word| {
            let problem = arguments.take(word).err()?;
            Some(Malformed { word: word.to_string(), problem })
        });
        let malformed = malformed.collect();
        (arguments, malformed)
    }

    /// The same with some words about CAS in addition, those of the boot arguments.
    ///
    /// # Errors
    /// When a word means nothing, or is not about CAS.
    pub fn with_cas(&self, text: &str) -> Result<Self, Malformed> {
        let mut arguments = self.clone();
        for word in text.split_whitespace() {
            let name = word.split('=').next().unwrap_or_default();
            let known = keys::CAS.contains(&name);
            let taken = if known {
                arguments.take(word)
            } else {
                Err(format!("CAS has only: {}", keys::CAS.join(", ")))
            };
            taken.map_err(|problem| Malformed { word: word.to_string(), problem })?;
        }
        Ok(arguments)
    }

    /// Takes one word. Where it means nothing, nothing has changed.
    ///
    /// # Errors
    /// In words: what is wrong with it, and what would be right.
    pub fn take(&mut self, word: &str) -> Result<(), String> {
        let (name, text) = match word.split_once('=') {
            Some((name, text)) => (name, Some(text)),
            None => (word, None),
        };
        let key = KEYS
            .iter()
            .find(|key| key.key == name)
            .ok_or_else(|| format!("there is no argument \"{name}\"; help lists them all"))?;
        match (key.take, text) {
            (Take::Alone(take), None) => {
                take(self);
                Ok(())
            }
            (Take::Alone(_), Some(_)) => Err(format!("{} takes no value", key.form)),
            (Take::Value(take), Some(text)) => take(self, text),
            (Take::Value(_), None) => Err(format!("it needs a value: {}", key.form)),
        }
    }

    /// The heap that the text asks for, in bytes: what must be known before there is a heap to read the rest with.
    pub fn heap_of(text: &str) -> Option<u64> {
        let sizes = text.split_whitespace().filter_map(|word| word.strip_prefix("heap="));
        sizes.filter_map(keys::bytes).next_back()
    }

    /// Each argument and what it does.
    pub fn help() -> impl Iterator<Item = (&'static str, &'static str)> {
        KEYS.iter().map(|key| (key.form, key.meaning))
    }

    /// Whether this is to be printed in full.
    pub fn prints(&self, what: Print) -> bool {
        self.print.contains(&what)
    }
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Crash, CrashKind, KEYS, Malformed, Manners, MemTest, Print, Then, Until};
    use crate::agent::station::Station;
    use crate::papr::option_vectors::{Form, OptionVector, Override, PvrEntry};
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

    fn parse(text: &str) -> Arguments {
        let (arguments, malformed) = Arguments::parse(text);
        assert_eq!(malformed, [], "{text}");
        arguments
    }

    fn problem(word: &str) -> String {
        let (arguments, malformed) = Arguments::parse(word);
        assert_eq!(arguments, Arguments::default(), "{word} changed something");
        match &malformed[..] {
            [Malformed { word: named, problem }] if named == word => problem.clone(),
            other => panic!("{word}: {other:?}"),
        }
    }

    #[test]
    fn the_keys_are_those_that_users_know_and_every_one_has_help() {
        let keys: Vec<_> = KEYS.iter().map(|key| key.key).collect();
        let known = "help task hold until then crash pvr ov1 ov2 ov3 ov4 ov5 ov6 cas form memtest policy pmem wait xive print tree-max heap";
        assert_eq!(keys.join(" "), known);
        for key in keys {
            let mut lines = Arguments::help().filter(|(word, _)| word.split('=').next() == Some(key));
            let (word, meaning) = lines.next().unwrap_or_else(|| panic!("{key} has no help"));
            assert!(!word.contains(' ') && !meaning.is_empty() && !meaning.contains('\n'), "{word}");
            assert_eq!(lines.next(), None, "{key}");
        }
    }

    #[test]
    fn the_help_shows_every_word_of_each_choice() {
        fn shows(key: &str, words: impl Iterator<Item = &'static str>) {
            let form = KEYS.iter().find(|row| row.key == key).expect(key).form;
            let mut shown = form[key.len() + 1..].split(['|', ',', '[']);
            for word in words {
                assert!(shown.any(|one| one == word), "{word} is not in {form}, or not in its order");
            }
        }
        shows("until", Until::ALL.iter().map(|one| one.word()));
        shows("task", super::Task::ALL.iter().map(|one| one.word()));
        shows("then", Then::ALL.iter().map(|one| one.word()));
        shows("crash", CrashKind::ALL.iter().map(|one| one.word()));
        shows("memtest", MemTest::ALL.iter().map(|one| one.word()));
        shows("pmem", Manners::ALL.iter().map(|one| one.word()));
        shows("wait", super::Wait::ALL.iter().map(|one| one.word()));
        shows("xive", super::Sources::ALL.iter().map(|one| one.word()));
        shows("print", Print::ALL.iter().map(|one| one.word()));
    }

    #[test]
    fn nothing_said_is_the_default() {
        let arguments = parse(" \t\n");
        assert_eq!(arguments, Arguments::default());
        assert_eq!((arguments.then, arguments.until), (Then::Poweroff, Until::Shutdown));
        assert_eq!((arguments.memtest.stride(), arguments.crash), (Some(4096), None));
    }

    #[test]
    fn every_key_is_read() {
        let arguments = parse(
            "help task=transitions hold=entry,before-step#2,#40 then=idle until=armed crash=trap@after-cas memtest=64k pmem=bold \
             policy=remove:refuse@2 xive=calls print=tree,sections tree-max=2m heap=512k pvr=power9,3.00 ov1=00ffc0 ov6=aix",
        );
        assert!(arguments.help && arguments.holds.at_call(40));
        assert!(arguments.holds.matches(Station::BeforeStep, 2));
        assert_eq!((arguments.then, arguments.until), (Then::Idle, Until::Armed));
        assert_eq!(arguments.task, super::Task::Transitions);
        assert_eq!(arguments.crash, Some(Crash { kind: CrashKind::Trap, at: Station::AfterCas }));
        assert_eq!((arguments.memtest.stride(), arguments.pmem), (Some(65536), Manners::Bold));
        assert_eq!(arguments.policy, super::Rules::parse("remove:refuse@2").unwrap());
        assert_eq!(arguments.xive, super::Sources::Calls);
        assert!(arguments.prints(Print::Tree) && !arguments.prints(Print::Fragments));
        assert_eq!((arguments.tree_max, arguments.heap), (Some(2 << 20), Some(512 << 10)));
        let pvrs = [PvrEntry::POWER9, PvrEntry::ISA_3_00];
        assert_eq!(arguments.overrides.pvrs(), Some(&pvrs[..]));
        let ov1 = arguments.overrides.vector(OptionVector::Ov1).cloned();
        assert_eq!(ov1, Some(Override::Bytes([0x00, 0xff, 0xc0].into())));
        assert!(arguments.overrides.vector(OptionVector::Ov6).is_some());
        assert_eq!(arguments.overrides.vector(OptionVector::Ov5), None);
    }

    #[test]
    fn each_vector_has_the_argument_of_its_name() {
        for &which in OptionVector::ALL {
            let arguments = parse(&format!("{which}=absent"));
            for &other in OptionVector::ALL {
                let wish = (other == which).then_some(&Override::Absent);
                assert_eq!(arguments.overrides.vector(other), wish, "{which} {other}");
            }
        }
    }

    #[test]
    fn cas_alone_can_be_told_something_else_for_once() {
        let before = parse("ov5=+xive pvr=power9 form=odd until=armed");
        let after = before.with_cas("ov5=+form2 cas=hcall  form=sound").expect("well formed");
        assert_eq!((after.cas, after.form), (super::Way::Hcall(2 << 20), Form::Sound));
        assert_eq!(after.overrides, parse("ov5=+form2 pvr=power9").overrides);
        assert_eq!(after.until, Until::Armed);
        assert_eq!(before.with_cas(""), Ok(before.clone()));
        for (text, word, says) in [
            ("ov5=+xive then=idle", "then=idle", "CAS has only: pvr, ov1"),
            ("form=round", "form=round", "none of: sound, no-end"),
            ("cas", "cas", "needs a value"),
        ] {
            let Err(Malformed { word: named, problem }) = before.with_cas(text) else { panic!("{text}") };
            assert!(named == word && problem.contains(says), "{text}: {named}: {problem}");
        }
    }

    #[test]
    fn a_crash_comes_early_unless_told_otherwise() {
        let crash = parse("crash=stack").crash;
        assert_eq!(crash, Some(Crash { kind: CrashKind::Stack, at: Station::ClientInterfaceUp }));
    }

    #[test]
    fn a_later_word_wins_and_a_malformed_one_does_not() {
        let (arguments, malformed) =
            Arguments::parse("then=idle then=reboot ov5=+xive ov5=-hp-evt then=sleep");
        assert_eq!(arguments.then, Then::Reboot);
        assert_eq!(arguments.overrides, parse("ov5=-hp-evt").overrides);
        assert_eq!(malformed.len(), 1);
        assert_eq!(malformed[0].word, "then=sleep");
    }

    #[test]
    fn a_malformed_word_is_named_with_what_would_be_right() {
        for (word, says) in [
            ("quiet", "no argument \"quiet\"; help"),
            ("=", "no argument \"\"; help"),
            ("Help", "no argument \"Help\"; help"),
            ("help=yes", "help takes no value"),
            ("then", "needs a value: then=poweroff|idle"),
            ("then=", "\"\" is none of: poweroff, idle, reboot, panic"),
            ("then=off", "\"off\" is none of: poweroff, idle, reboot, panic"),
            ("until=never", "\"never\" is none of: shutdown, armed"),
            ("crash=boom", "\"boom\" is none of: panic, trap, load, stack"),
            ("crash=trap@nowhere", "\"nowhere\" is none of: entry, client-interface-up"),
            ("hold=cas", "\"cas\" is no station; they are: entry"),
            ("hold=entry,#x", "\"#x\" needs a number from 1"),
            ("memtest=1k", "\"1k\" is none of: 4k, 64k, 1m, 256m, none"),
            ("print=tree,all", "\"all\" is none of: fragments, tree, sections"),
            ("heap=", "\"\" is no number of bytes"),
            ("heap=0", "\"0\" is no number of bytes"),
            ("heap=+1", "\"+1\" is no number of bytes"),
            ("heap=-1", "\"-1\" is no number of bytes"),
            ("heap=k", "\"k\" is no number of bytes"),
            ("heap=1g", "\"1g\" is no number of bytes"),
            ("tree-max=18446744073709551615k", "is no number of bytes"),
            ("tree-max=18446744073709551616", "is no number of bytes"),
            ("pvr=power5", "\"power5\" is neither mask/value"),
            ("ov5=+hotplug", "ov5 has no option \"hotplug\""),
            ("ov6=bsd", "\"bsd\" is none of"),
            ("ov2=", "1 to 256 bytes, not 0"),
        ] {
            let problem = problem(word);
            assert!(problem.contains(says), "{word}: {problem}");
        }
    }

    /// Words that nearly mean something.
    fn near_word() -> impl Strategy<Value = String> {
        let key = prop_oneof![
            4 => prop::sample::select(KEYS.iter().map(|key| key.key.to_string()).collect::<Vec<_>>()),
            1 => "[a-z0-9-]{0,8}",
        ];
        let value = prop_oneof![
            Just(String::new()),
            "=[-+a-z0-9.,#@/]{0,12}",
            "=([0-9a-f]{2}){0,300}",
            "=[+-]?(hp-evt|drmem-v2|entry|tree|trap@end|4k|idle|power9|3[.]1|#7),?",
            any::<String>().prop_map(|text| format!("={text}")),
        ];
        (key, value).prop_map(|(key, value)| key + &value)
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in any::<String>()) {
            let (_, malformed) = Arguments::parse(&text);
            prop_assert!(malformed.len() <= text.split_whitespace().count());
        }

        #[test]
        fn words_are_read_one_by_one(words in prop::collection::vec(near_word(), 0..6)) {
            let text = words.join(" ");
            let (arguments, malformed) = Arguments::parse(&text);
            let alone = text.split_whitespace().flat_map(|word| Arguments::parse(word).1);
            prop_assert_eq!(&malformed, &alone.collect::<Vec<_>>());
            let good: Vec<_> = text.split_whitespace().filter(|word| Arguments::parse(word).1.is_empty()).collect();
            prop_assert_eq!(Arguments::parse(&good.join(" ")), (arguments, vec![]));
        }
    }
}

//! Stations: the named places of the guest's life, and the ones where it waits for the host.
//!
//! The host can only step in where the guest lets it. Every call to the firmware and to the hypervisor has a number, and
//! the places that matter have names; at either the guest can be told to hold until the host gives the word. This module
//! only decides where. Who counts the visits and the calls, says so and waits is the caller.

use crate::word_enum;
use alloc::vec::Vec;
use core::fmt;

word_enum! {
    /// A place of the guest's life, in the order in which it first comes there.
    pub enum Station {
        /// The first line of Rust: nothing has been called yet but the console.
        Entry = "entry",
        /// The client interface answers, and the boot arguments are known.
        ClientInterfaceUp = "client-interface-up",
        /// The next call is `ibm,client-architecture-support`.
        BeforeCas = "before-cas",
        /// It has returned.
        AfterCas = "after-cas",
        /// The device tree that it left has been read.
        TreeRead = "tree-read",
        /// RTAS is instantiated.
        RtasUp = "rtas-up",
        /// The vectors are ours, but no event source is on yet.
        HandlerInstalled = "handler-installed",
        /// The event sources are on: from here an event interrupts.
        HandlerArmed = "handler-armed",
        /// An event was taken from the queue, and there may be more.
        Draining = "draining",
        /// It is the turn of an event that was taken; nothing was done about it yet.
        EventTaken = "event-taken",
        /// The next call moves a connector or reads its sensor.
        BeforeStep = "before-step",
        /// That call has returned.
        AfterStep = "after-step",
        /// The queue was found empty.
        Drained = "drained",
        /// The next call gives back what the host wants.
        BeforeRelease = "before-release",
        /// The next call waits for an interrupt.
        Idle = "idle",
        /// The next call resets the machine.
        BeforeReset = "before-reset",
        /// A second thread has reported from its own stack.
        SecondaryStarted = "secondary-started",
        /// Nothing comes after this but the last line.
        End = "end",
    }
}

/// One place to wait at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Each visit to the station.
    Every(Station),
    /// One visit to the station, counted from 1.
    Visit(Station, u32),
    /// Before the call with this number, counted from 1 in each boot.
    Call(u64),
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(station) => write!(f, "{station}"),
            Self::Visit(station, visit) => write!(f, "{station}#{visit}"),
            Self::Call(number) => write!(f, "#{number}"),
        }
    }
}

/// Why a text names no place to wait at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHold<'a> {
    /// There is no station of this name.
    Station(&'a str),
    /// What follows `#` in this word is not a number from 1.
    Number(&'a str),
}

impl fmt::Display for BadHold<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Station(word) => {
                write!(f, "\"{word}\" is no station; they are:")?;
                Station::ALL.iter().try_for_each(|station| write!(f, " {station}"))
            }
            Self::Number(word) => write!(f, "\"{word}\" needs a number from 1 after its #"),
        }
    }
}

impl Hold {
    /// Reads `name`, `name#visit` or `#call`.
    fn parse(word: &str) -> Result<Self, BadHold<'_>> {
        let station = |name| Station::from_word(name).ok_or(BadHold::Station(name));
        let bad = BadHold::Number(word);
        match word.split_once('#') {
            None => station(word).map(Self::Every),
            Some(("", call)) => number(call).map(Self::Call).ok_or(bad),
            Some((name, visit)) => {
                let visit = number(visit).and_then(|visit| u32::try_from(visit).ok()).ok_or(bad)?;
                station(name).map(|station| Self::Visit(station, visit))
            }
        }
    }
}

/// A decimal number from 1; no sign.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number > 0 && !text.starts_with('+')).then_some(number)
}

/// All places to wait at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds(Vec<Hold>);

impl Holds {
    /// Reads places between commas.
    ///
    /// # Errors
    /// When one of them is none; all of them are left out then.
    pub fn parse(text: &str) -> Result<Self, BadHold<'_>> {
        text.split(',').map(Hold::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether to wait at this visit to the station; visits count from 1.
    pub fn matches(&self, station: Station, visit: u32) -> bool {
        self.0.iter().any(|hold| match *hold {
            Hold::Every(at) => at == station,
            Hold::Visit(at, which) => at == station && which == visit,
            Hold::Call(_) => false,
        })
    }

    /// Whether to wait before the call with this number; calls count from 1.
    pub fn at_call(&self, call: u64) -> bool {
        self.0.contains(&Hold::Call(call))
    }

    /// The places, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = Hold> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::{BadHold, Hold, Holds, Station};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn the_names_of_the_stations_are_frozen() {
        let names: Vec<_> = Station::ALL.iter().map(|station| station.word()).collect();
        assert_eq!(
            names.join(" "),
            "entry client-interface-up before-cas after-cas tree-read rtas-up handler-installed handler-armed \
             draining event-taken before-step after-step drained before-release idle before-reset secondary-started end"
        );
    }

    #[test]
    fn a_name_alone_holds_at_each_visit_and_a_number_at_one() {
        let holds = Holds::parse("before-cas,before-step#2,#40").expect("well formed");
        let at = |station| (1..4).filter(|&visit| holds.matches(station, visit)).collect::<Vec<_>>();
        assert_eq!(at(Station::BeforeCas), [1, 2, 3]);
        assert_eq!(at(Station::BeforeStep), [2]);
        assert_eq!(at(Station::AfterCas), [0; 0]);
        assert_eq!((1..100).filter(|&call| holds.at_call(call)).collect::<Vec<_>>(), [40]);
    }

    #[test]
    fn no_holds_hold_nowhere() {
        let holds = Holds::default();
        assert!(!holds.at_call(1) && !Station::ALL.iter().any(|&station| holds.matches(station, 1)));
    }

    #[test]
    fn a_malformed_place_is_named() {
        for (text, problem) in [
            ("", BadHold::Station("")),
            ("entry,", BadHold::Station("")),
            ("entry,before-ca", BadHold::Station("before-ca")),
            ("before-ca#1", BadHold::Station("before-ca")),
            ("Entry", BadHold::Station("Entry")),
            ("#", BadHold::Number("#")),
            ("#0", BadHold::Number("#0")),
            ("#+1", BadHold::Number("#+1")),
            ("#18446744073709551616", BadHold::Number("#18446744073709551616")),
            ("entry#", BadHold::Number("entry#")),
            ("entry#0", BadHold::Number("entry#0")),
            ("entry#1#2", BadHold::Number("entry#1#2")),
            ("entry#4294967296", BadHold::Number("entry#4294967296")),
        ] {
            assert_eq!(Holds::parse(text), Err(problem), "{text:?}");
        }
        let sentence = BadHold::Station("x").to_string();
        assert!(Station::ALL.iter().all(|station| sentence.contains(station.word())), "{sentence}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>(), near in "[a-z#0-9,-]{0,20}") {
            let _ = (Holds::parse(&text), Holds::parse(&near));
        }

        #[test]
        fn what_is_shown_is_read_back(
            place in 0..Station::ALL.len(), visit in 1_u32.., call in 1_u64..
        ) {
            let station = Station::ALL[place];
            let all = [Hold::Every(station), Hold::Visit(station, visit), Hold::Call(call)];
            let text = all.map(|hold| hold.to_string()).join(",");
            let holds = Holds::parse(&text).expect("as shown");
            prop_assert_eq!(holds.iter().collect::<Vec<_>>(), all);
            prop_assert!(holds.matches(station, visit) && holds.at_call(call));
        }
    }
}

//! Manners: how the guest treats what the host asks of it.
//!
//! A hypervisor must bear every guest, so the guest can be told to refuse, to dawdle, to stop half way, or to go on with
//! what it gave back. A [`Policy`] says which; a [`Conduct`] is one connector's request treated so. Like the walk
//! inside it, it only decides.
//!
//! | word | treatment |
//! |---|---|
//! | `accept` | does what is asked |
//! | `refuse` | does not release: un-isolates what it has once more, which tells the platform |
//! | `refuse-by-configuring` | the same, by configuring it once more: tells the platform for memory only |
//! | `ignore` | does nothing |
//! | `late:MS` | waits that many milliseconds first |
//! | `half:N` | stops after the Nth call that can move the connector, and leaves it there |
//! | `unasked` | releases what it has just acquired |
//! | `twice` | configures what it has configured |
//! | `touch` | uses what it has released |
//!
//! `@N` behind a word restricts it to the Nth connector of a request; the others are treated as `accept`. So a DIMM can
//! be given back but for one of its blocks.
//!
//! Ref: LoPAR 13.7 (DR Operations), QEMU hw/ppc/spapr_drc.c (drc_unisolate_logical)

mod rules;

pub use rules::{BadRule, Rules};

use super::State;
use super::connector::{Action, Conclusion, Reply, Transition, Walk};
use crate::log::{Outcome, Request};
use crate::papr::drc::{DrcIndex, DrcKind};
use alloc::string::String;
use core::fmt;

/// One way to treat a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// Does what is asked.
    #[default]
    Accept,
    /// Refuses a release by un-isolating once more.
    Refuse,
    /// Refuses a release by configuring once more.
    RefuseByConfiguring,
    /// Does nothing.
    Ignore,
    /// Waits that many milliseconds first.
    Late(u32),
    /// Stops after that many calls that can move the connector.
    Half(u32),
    /// Releases what it has just acquired.
    Unasked,
    /// Configures what it has configured.
    Twice,
    /// Uses what it has released.
    Touch,
}

/// How requests are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The way.
    pub manner: Manner,
    /// Only the connector with this place in its request, counted from 1; all of them without it.
    pub only: Option<u32>,
}

impl Policy {
    /// Every word, for help: a number stands for itself.
    pub const WORDS: [&'static str; 9] = [
        "accept",
        "refuse",
        "refuse-by-configuring",
        "ignore",
        "late:MS",
        "half:N",
        "unasked",
        "twice",
        "touch",
    ];

    /// Reads a policy as it is written in the module's table.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, only) = match text.split_once('@') {
            Some((word, place)) => (word, Some(place.parse().ok().filter(|place| *place > 0)?)),
            None => (text, None),
        };
        let manner = match word.split_once(':') {
            Some(("late", ms)) => Manner::Late(ms.parse().ok()?),
            Some(("half", steps)) => Manner::Half(steps.parse().ok()?),
            Some(_) => return None,
            None => match word {
                "accept" => Manner::Accept,
                "refuse" => Manner::Refuse,
                "refuse-by-configuring" => Manner::RefuseByConfiguring,
                "ignore" => Manner::Ignore,
                "unasked" => Manner::Unasked,
                "twice" => Manner::Twice,
                "touch" => Manner::Touch,
                _ => return None,
            },
        };
        Some(Self { manner, only })
    }

    /// How the connector at this place of its request, counted from 1, is treated.
    pub fn at(self, place: u32) -> Manner {
        if self.only.is_none_or(|only| only == place) { self.manner } else { Manner::Accept }
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Refuse => f.write_str("refuse"),
            Self::RefuseByConfiguring => f.write_str("refuse-by-configuring"),
            Self::Ignore => f.write_str("ignore"),
            Self::Late(ms) => write!(f, "late:{ms}"),
            Self::Half(steps) => write!(f, "half:{steps}"),
            Self::Unasked => f.write_str("unasked"),
            Self::Twice => f.write_str("twice"),
            Self::Touch => f.write_str("touch"),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.manner)?;
        self.only.map_or(Ok(()), |only| write!(f, "@{only}"))
    }
}

impl Manner {
    /// Whether a release that is treated so comes to its end.
    pub const fn lets_go(self) -> bool {
        !matches!(self, Self::Refuse | Self::RefuseByConfiguring | Self::Ignore | Self::Half(_))
    }

    /// Whether it is to leave a connector where it is on its way.
    pub const fn is_half(self) -> bool {
        matches!(self, Self::Half(_))
    }

    /// What the guest does on its own when a request has ended so.
    pub fn then(self, request: Request, outcome: Outcome) -> Option<Request> {
        let unasked = self == Self::Unasked && (request, outcome) == (Request::Add, Outcome::Taken);
        unasked.then_some(Request::Remove)
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// What a walk asks for, [`Action::Finished`] included.
    Do(Action),
    /// Wait that many milliseconds; answer with [`Reply::Start`].
    Wait(u32),
    /// Use what is not the guest's any more; answer with [`Reply::Used`].
    Touch,
}

/// One request about one connector, treated in one way.
#[derive(Clone, Debug)]
pub struct Conduct {
    manner: Manner,
    request: Request,
    walk: Walk,
    /// Calls that could move the connector.
    moves: u32,
    /// The last of them, if it was the last thing that was done.
    moved: Option<Transition>,
    /// It has waited, if it is to wait.
    waited: bool,
    /// What was touched after its release, waiting to be told of.
    touching: Option<Conclusion>,
    /// The end, once it is known.
    end: Option<Conclusion>,
}

impl Conduct {
    /// Treats a request about a connector that the guest takes to be in `state`.
    pub fn new(manner: Manner, request: Request, index: DrcIndex, kind: DrcKind, state: State) -> Self {
        let walk = match (request, manner) {
            (Request::Add, Manner::Twice) => Walk::acquire(index, kind, state).asking_twice(),
            (Request::Add, _) => Walk::acquire(index, kind, state),
            (Request::Remove, Manner::Refuse) => Walk::refuse(index, kind, state, false),
            (Request::Remove, Manner::RefuseByConfiguring) => Walk::refuse(index, kind, state, true),
            (Request::Remove, _) => Walk::release(index, kind, state),
        };
        let mut conduct =
            Self { manner, request, walk, moves: 0, moved: None, waited: false, touching: None, end: None };
        match manner {
            Manner::Ignore => conduct.end = Some(conduct.stop(Outcome::Ignored, "told to ignore it")),
            Manner::Half(0) => {
                conduct.end = Some(conduct.stop(Outcome::Stuck, "told to stop before it starts"))
            }
            _ => {}
        }
        conduct
    }

    /// What the last reply moved.
    pub const fn transition(&self) -> Option<Transition> {
        self.moved
    }

    /// Takes the answer to the last move and says what to do next. What is finished stays finished.
    pub fn next(&mut self, reply: Reply) -> Move {
        self.moved = None;
        if let Some(end) = &self.end {
            return Move::Do(Action::Finished(end.clone()));
        }
        if let Some(end) = self.touching.take() {
            return self.touched(end, reply);
        }
        if let Manner::Late(ms) = self.manner
            && !core::mem::replace(&mut self.waited, true)
        {
            return Move::Wait(ms);
        }
        let action = self.walk.next(reply);
        self.moved = self.walk.transition();
        self.moves += u32::from(self.moved.is_some());
        match (action, self.manner) {
            (Action::Finished(end), Manner::Touch)
                if self.request == Request::Remove && end.outcome == Outcome::Released =>
            {
                self.touching = Some(end);
                Move::Touch
            }
            (Action::Finished(end), _) => self.finish(end),
            (_, Manner::Half(most)) if self.moves >= most => {
                self.finish(self.stop(Outcome::Stuck, "told to stop half way"))
            }
            (action, _) => Move::Do(action),
        }
    }

    fn finish(&mut self, end: Conclusion) -> Move {
        self.end = Some(end.clone());
        Move::Do(Action::Finished(end))
    }

    fn stop(&self, outcome: Outcome, reason: &str) -> Conclusion {
        Conclusion { outcome, state: self.walk.state(), reason: String::from(reason) }
    }

    /// What was released was used; it stays released, whatever came of it.
    fn touched(&mut self, end: Conclusion, reply: Reply) -> Move {
        let told = match reply {
            Reply::Used(Ok(())) => String::from("it can still be used"),
            Reply::Used(Err(why)) => why,
            _ => String::from("the reply does not fit the action"),
        };
        let parts = [end.reason.as_str(), "touched after its release", told.as_str()];
        let mut reason = String::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            if !reason.is_empty() {
                reason.push_str("; ");
            }
            reason.push_str(part);
        }
        self.finish(Conclusion { reason, ..end })
    }
}

#[cfg(test)]
mod tests;

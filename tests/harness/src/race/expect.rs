//! Expectations: how a QEMU treats what is plugged before the guest can listen. Several ways were proposed, and some shipped.

use clap::ValueEnum;
use std::collections::BTreeMap;
use std::fmt;

/// A way to treat what is plugged before the guest has negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Expect {
    /// Any of these: which it was is told
    #[default]
    Auto,
    /// It is taken, and the tree that CAS leaves tells of it: QEMU since 5.1
    Upstream,
    /// It is refused until CAS, and taken afterwards: proposed in 2017
    RejectBeforeCas,
    /// It is refused until a CAS with option vector 6, which says that an OS runs: proposed in 2017
    RejectBeforeOv6,
    /// It is taken, and the machine is reset by CAS, so that the guest boots twice: QEMU 2.9 to 5.0
    CasReboot,
}

impl Expect {
    /// Its name on the command line and in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Upstream => "upstream",
            Self::RejectBeforeCas => "reject-before-cas",
            Self::RejectBeforeOv6 => "reject-before-ov6",
            Self::CasReboot => "cas-reboot",
        }
    }

    /// What such a QEMU does with what is plugged before CAS, as the end of a sentence.
    pub const fn story(self) -> &'static str {
        match self {
            Self::Auto => "does anything with what is plugged before CAS",
            Self::Upstream => "takes what is plugged before CAS into the tree",
            Self::RejectBeforeCas => "refuses what is plugged before CAS, and takes it afterwards",
            Self::RejectBeforeOv6 => "refuses what is plugged before a CAS with option vector 6",
            Self::CasReboot => "takes what is plugged before CAS, and resets the machine at CAS",
        }
    }

    /// Whether it refuses what is plugged before CAS; nothing where either is right.
    pub const fn refuses_early(self) -> Option<bool> {
        match self {
            Self::Auto => None,
            Self::RejectBeforeCas | Self::RejectBeforeOv6 => Some(true),
            Self::Upstream | Self::CasReboot => Some(false),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What many races saw of a QEMU, in one line; nothing where none of them plugged anything before CAS.
pub fn told(seen: impl IntoIterator<Item = Expect>) -> Option<String> {
    let mut counts: BTreeMap<Expect, usize> = BTreeMap::new();
    for behaviour in seen {
        *counts.entry(behaviour).or_default() += 1;
    }
    let line = |(behaviour, _): (&Expect, _)| format!("{} ({behaviour})", behaviour.story());
    let counted = |(behaviour, count)| format!("{count} times it {}", line((behaviour, count)));
    match counts.len() {
        0 => None,
        1 => counts.iter().next().map(|only| format!("this QEMU {}", line(only))),
        _ => {
            let ways: Vec<String> = counts.iter().map(counted).collect();
            Some(format!("this QEMU does not always do the same: {}", ways.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Expect, told};
    use clap::ValueEnum;

    #[test]
    fn the_name_on_the_command_line_is_the_one_in_reports() {
        for expect in Expect::value_variants() {
            let name = expect.to_possible_value().map(|value| value.get_name().to_owned());
            assert_eq!(name.as_deref(), Some(expect.word()));
        }
    }

    #[test]
    fn one_behaviour_is_one_sentence_and_several_are_counted() {
        assert_eq!(told([]), None);
        let once = told([Expect::Upstream, Expect::Upstream]);
        let upstream = "this QEMU takes what is plugged before CAS into the tree (upstream)";
        assert_eq!(once.as_deref(), Some(upstream));
        let both = told([Expect::Upstream, Expect::CasReboot, Expect::Upstream]).expect("a line");
        assert!(both.contains("2 times it takes") && both.contains("(cas-reboot)"), "{both}");
    }
}

//! Rules: which requests about which connectors are treated in which way.
//!
//! A list of words with commas between them, each `[add:|remove:][KIND:]POLICY`. The last that fits counts, so what is
//! general comes first: `refuse,pci:ignore,add:accept`.

use super::{Manner, Policy};
use crate::log::Request;
use crate::papr::drc::DrcKind;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// One word of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    request: Option<Request>,
    kind: Option<DrcKind>,
    policy: Policy,
}

/// How each request about each kind of connector is treated; everything is accepted where nothing fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

/// Why a text is no list of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRule(String);

impl fmt::Display for BadRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no policy; it is [add:|remove:][cpu:|lmb:|pci:|phb:|pmem:], then one of:",
            self.0
        )?;
        Policy::WORDS.iter().try_for_each(|word| write!(f, " {word}"))?;
        f.write_str(", then perhaps @ and which connector of a request")
    }
}

/// The kinds that a rule can name.
const KINDS: [DrcKind; 5] = [DrcKind::CPU, DrcKind::LMB, DrcKind::PCI, DrcKind::PHB, DrcKind::PMEM];

impl Rules {
    /// Reads a list.
    ///
    /// # Errors
    /// The first word that is no rule.
    pub fn parse(text: &str) -> Result<Self, BadRule> {
        let rule = |word: &str| rule(word.trim()).ok_or_else(|| BadRule(word.to_string()));
        text.split(',').map(rule).collect::<Result<_, _>>().map(Self)
    }

    /// How a request is treated about the connector at this place of it, counted from 1.
    pub fn manner(&self, request: Request, kind: DrcKind, place: u32) -> Manner {
        let fits = |rule: &&Rule| {
            rule.request.is_none_or(|wanted| wanted == request)
                && rule.kind.is_none_or(|wanted| wanted == kind)
        };
        self.0.iter().rev().find(fits).map_or(Manner::Accept, |rule| rule.policy.at(place))
    }
}

fn rule(word: &str) -> Option<Rule> {
    let (request, rest) = prefix(word, |word| match word {
        "add" => Some(Request::Add),
        "remove" => Some(Request::Remove),
        _ => None,
    });
    let (kind, rest) = prefix(rest, |word| KINDS.into_iter().find(|kind| kind.to_string() == word));
    Some(Rule { request, kind, policy: Policy::parse(rest)? })
}

/// What stands before the first colon, if it means something; and the rest.
fn prefix<T>(word: &str, meaning: impl FnOnce(&str) -> Option<T>) -> (Option<T>, &str) {
    match word.split_once(':').and_then(|(first, rest)| Some((meaning(first)?, rest))) {
        Some((meaning, rest)) => (Some(meaning), rest),
        None => (None, word),
    }
}

#[cfg(test)]
mod tests {
    use super::{DrcKind, Manner, Request, Rules};
    use std::string::ToString;

    fn rules(text: &str) -> Rules {
        Rules::parse(text).expect(text)
    }

    #[test]
    fn the_last_rule_that_fits_counts() {
        let rules = rules("refuse,pci:ignore,add:accept,add:lmb:half:2@3");
        for (request, kind, place, manner) in [
            (Request::Remove, DrcKind::CPU, 1, Manner::Refuse),
            (Request::Remove, DrcKind::PCI, 1, Manner::Ignore),
            (Request::Add, DrcKind::PCI, 1, Manner::Accept),
            (Request::Add, DrcKind::LMB, 3, Manner::Half(2)),
            (Request::Add, DrcKind::LMB, 2, Manner::Accept),
        ] {
            assert_eq!(rules.manner(request, kind, place), manner, "{request} {kind} {place}");
        }
    }

    #[test]
    fn without_rules_everything_is_accepted() {
        assert_eq!(Rules::default().manner(Request::Remove, DrcKind::LMB, 1), Manner::Accept);
    }

    #[test]
    fn every_kind_and_every_manner_can_be_named() {
        for kind in super::KINDS {
            let one = rules(&std::format!("{kind}:late:250"));
            assert_eq!(one.manner(Request::Add, kind, 1), Manner::Late(250));
            assert_eq!(one.manner(Request::Add, DrcKind::VIO, 1), Manner::Accept);
        }
    }

    #[test]
    fn what_is_no_rule_is_named_with_what_would_be_one() {
        for text in ["", "refuse,", "add:", "sometimes", "lmb:add:refuse", "half", "refuse@0", "late:x"] {
            let problem = Rules::parse(text).expect_err(text).to_string();
            assert!(problem.contains("half:N") && problem.contains("remove:"), "{text}: {problem}");
        }
    }
}

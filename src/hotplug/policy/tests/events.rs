//! Whole events followed in bad manners: what becomes of a DIMM when one of its blocks is treated in another way.

use super::{Bench, Config, HostError, How, LMB, Notice, Platform, What, behave};
use crate::hotplug::State;
use crate::hotplug::inventory::Inventory;
use crate::hotplug::plan::{Campaign, Task, plan};
use crate::hotplug::policy::{Manner, Rules};
use crate::log::{Learned, Outcome, Request};
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::event::EventLog;
use std::vec::Vec;

/// What became of a block, by its place in the DIMM.
type End = (u32, Request, Outcome);

/// A guest that follows events about a DIMM of four blocks.
struct Follower {
    bench: Bench,
    inventory: Inventory,
}

impl Follower {
    /// After CAS, where memory is told of by a count and the first block, or by a mere count; the DIMM is plugged.
    fn new(hotplug_events: bool) -> Self {
        let mut platform = Platform::new(Config::default());
        platform.cas(hotplug_events);
        let mut inventory = Inventory::new();
        let listed: Vec<_> = platform.listed().collect();
        let listed = listed.iter().map(|(index, name, kind)| (*index, name.as_str(), *kind));
        assert_eq!(inventory.extend(listed), []);
        platform.plug("dimm", What::Dimm { first: 4, blocks: 4 }, How::Hot).expect("room");
        Self { bench: Bench::on(platform, LMB), inventory }
    }

    /// Treats each part of the next event as `rules` say, and takes back what was done when that is not enough.
    fn follow(&mut self, rules: &str) -> (Vec<End>, bool) {
        let rules = Rules::parse(rules).expect("rules");
        let log = self.bench.platform.check_exception(u32::MAX).expect("an event");
        let log = EventLog::parse(&log).expect("a log");
        let mut campaign =
            Campaign::new(plan(&log.hotplug().expect("hotplug"), &self.inventory).expect("a plan"));
        let (mut ends, mut last, mut place) = (Vec::new(), None, 0);
        while let Some(task) = campaign.next(last) {
            let (request, index, manner) = match task {
                Task::Do(request, index) => {
                    place += 1;
                    (request, index, rules.manner(request, DrcKind::LMB, place))
                }
                Task::Undo(request, index) => (request, index, Manner::Accept),
            };
            let outcome = self.treat(manner, request, index);
            ends.push((1 + index.0 - LMB.0, request, outcome));
            last = Some(outcome);
        }
        (ends, campaign.is_complete())
    }

    fn treat(&mut self, manner: Manner, request: Request, index: DrcIndex) -> Outcome {
        self.bench.index = index;
        self.bench.in_use = self.inventory.get(index).expect("listed").held.is_some();
        let belief = self.inventory.get(index).expect("listed").state;
        let (end, _) = behave(&mut self.bench, manner, request, belief);
        assert_eq!(end.state, self.bench.state(), "the guest knows what the platform has");
        self.inventory.conclude(index, request, Learned::Event, &end);
        end.outcome
    }

    fn states(&self) -> [State; 4] {
        [0, 1, 2, 3].map(|at| self.bench.platform.drc(DrcIndex(LMB.0 + at)).expect("listed").state())
    }

    /// The host wants the DIMM back, and the guest gives it.
    fn is_given_back(&mut self) -> bool {
        self.bench.platform.notices();
        self.bench.platform.unplug("dimm").expect("it can be asked for");
        let (_, complete) = self.follow("accept");
        complete && self.bench.platform.notices() == [Notice::Deleted("dimm".into())]
    }
}

use Outcome::{Ignored, Kept, Released, Stuck, Taken};
use Request::{Add, Remove};
use State::{Available, Configured, Unusable};

#[test]
fn a_block_that_is_not_taken_has_the_others_given_back_as_far_as_the_platform_lets_them_go() {
    let mut guest = Follower::new(true);
    // Nobody has asked the first two back, so they cannot be isolated: they are kept, and in use.
    let ends = vec![(1, Add, Taken), (2, Add, Taken), (3, Add, Stuck), (2, Remove, Kept), (1, Remove, Kept)];
    assert_eq!(guest.follow("add:half:1@3"), (ends, false));
    assert_eq!(guest.states(), [Configured, Configured, Available, Unusable]);
    assert!(guest.inventory.of_kind(DrcKind::LMB, true).eq([LMB, DrcIndex(LMB.0 + 1)]));
    assert!(guest.is_given_back(), "nothing stands in the way of taking the DIMM away");
}

#[test]
fn of_a_mere_count_the_next_block_is_tried_in_place_of_one_that_is_not_taken() {
    let mut guest = Follower::new(false);
    let failed = [5, 6].map(|place| (place, Add, Outcome::Failed));
    let mut ends = vec![(1, Add, Taken), (2, Add, Ignored), (3, Add, Taken), (4, Add, Taken)];
    // No device is behind the other two blocks that there are, so that all comes to nothing.
    ends.extend(failed);
    ends.extend([4, 3, 1].map(|place| (place, Remove, Kept)));
    assert_eq!(guest.follow("add:ignore@2"), (ends, false));
}

#[test]
fn a_refusal_of_the_first_block_keeps_all_and_touches_none_of_the_others() {
    let mut guest = Follower::new(true);
    guest.follow("accept");
    guest.bench.platform.unplug("dimm").expect("it can be asked for");
    assert_eq!(guest.follow("remove:refuse@1"), (vec![(1, Remove, Kept)], false));
    assert_eq!(guest.states(), [Configured; 4]);
    assert!(guest.bench.platform.notices().contains(&Notice::Refused("dimm".into())));
    assert!(guest.is_given_back(), "a refusal is not for ever");
}

#[test]
fn what_was_given_back_before_a_refusal_is_asked_for_again_in_vain() {
    let mut guest = Follower::new(true);
    guest.follow("accept");
    guest.bench.platform.unplug("dimm").expect("it can be asked for");
    let (ends, complete) = guest.follow("remove:refuse@3");
    assert!(!complete);
    assert_eq!(ends[..3], [(1, Remove, Released), (2, Remove, Released), (3, Remove, Kept)]);
    let undone: Vec<_> = ends[3..].iter().map(|end| (end.0, end.1)).collect();
    assert_eq!(undone, [(2, Add), (1, Add)], "the last first, and each once");
    assert!(ends[3..].iter().all(|end| end.2 != Taken), "their device is gone: {ends:?}");
    assert_eq!(guest.states(), [Unusable, Unusable, Configured, Configured]);
    assert!(matches!(guest.bench.platform.unplug("dimm"), Err(HostError::Abort(_))));
}

#[test]
fn every_manner_at_every_place_leaves_the_guest_knowing_what_it_has() {
    for manner in super::ALL {
        for request in [Add, Remove] {
            for place in 1..=4 {
                let mut guest = Follower::new(true);
                if request == Remove {
                    guest.follow("accept");
                    guest.bench.platform.unplug("dimm").expect("it can be asked for");
                }
                guest.follow(&std::format!("{request}:{manner}@{place}"));
                for index in guest.inventory.of_kind(DrcKind::LMB, true) {
                    let state = guest.bench.platform.drc(index).expect("listed").state();
                    assert_eq!(state, Configured, "{request} {manner} {place} {index}");
                }
            }
        }
    }
}

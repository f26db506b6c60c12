//! What the host does and hears.

use super::super::{Config, HostError, How, Notice, Platform, What};
use super::{CORE, EACH, LMB, PCI, PHB, PMEM, acquire, allocation, configure, isolation, plugged};
use crate::hotplug::State;
use crate::papr::connector::WorkArea;
use crate::papr::drc::DrcIndex;
use crate::papr::event::EventLog;
use crate::papr::indicator::{ACTIVE, INACTIVE, ISOLATE, UNISOLATE, UNUSABLE, USABLE};
use crate::papr::status::Status;
use std::string::{String, ToString};
use std::vec::Vec;

const LMB_2: DrcIndex = DrcIndex(0x8000_0005);

/// Takes every event, as `mask resource action id`.
fn events(platform: &mut Platform) -> Vec<String> {
    let mut events = Vec::new();
    for (mask, class) in [(0x4000_0000, "epow"), (0x1000_0000, "hotplug")] {
        while let Some(log) = platform.check_exception(mask) {
            let log = EventLog::parse(&log).expect("a summary");
            assert_eq!(log.problem(), None);
            events.push(match (log.hotplug(), log.epow()) {
                (Some(event), None) => {
                    std::format!("{class} {} {} {}", event.resource, event.action, event.id)
                }
                (None, Some(event)) => std::format!("{class} {}", event.action()),
                other => panic!("{other:?}"),
            });
        }
    }
    events
}

fn deleted(id: &str) -> Notice {
    Notice::Deleted(id.to_string())
}

/// Gives a logical connector back.
fn release(platform: &mut Platform, index: DrcIndex) {
    assert_eq!(isolation(platform, index, ISOLATE), Status::SUCCESS);
    assert_eq!(allocation(platform, index, UNUSABLE), Status::SUCCESS);
}

#[test]
fn each_kind_is_told_by_its_own_event() {
    for (index, id) in [
        (CORE, "cpu add index:10000001"),
        (LMB, "memory add count-indexed:1@80000004"),
        (PCI, "pci add index:40000008"),
        (PHB, "phb add index:20000005"),
        (PMEM, "pmem add index:90000000"),
    ] {
        let what = EACH.iter().find(|(place, _)| *place == index).expect("a place").1;
        let mut platform = plugged(what);
        assert_eq!(events(&mut platform), [std::format!("hotplug {id}")]);
        assert!(platform.drc(index).expect("listed").is_empty());
        assert!(platform.drc(index).expect("listed").device().is_some());
    }
}

#[test]
fn a_guest_without_the_hotplug_source_is_told_by_epow_and_by_count() {
    for cas in [None, Some(false)] {
        let mut platform = Platform::new(Config::default());
        if let Some(hotplug_events) = cas {
            platform.cas(hotplug_events);
        }
        platform.plug("dimm", What::Dimm { first: 5, blocks: 2 }, How::Hot).expect("room");
        assert_eq!(events(&mut platform), ["epow memory add count:2"]);
        acquire(&mut platform, LMB_2);
        let unplug = platform.unplug("dimm");
        assert_eq!(unplug.is_ok(), cas.is_none(), "memory can be had back before CAS, and not after it");
    }
}

#[test]
fn cas_settles_what_was_plugged_before_and_drops_its_events() {
    let mut platform = Platform::new(Config::default());
    for (id, (_, what)) in ["core", "dimm", "nic", "phb", "pmem"].into_iter().zip(EACH) {
        platform.plug(id, what, How::Hot).expect("the place is free");
    }
    platform.plug("other", What::Core(2), How::Hot).expect("the place is free");
    acquire(&mut platform, DrcIndex(0x1000_0002));
    platform.unplug("other").expect("it is there");
    platform.powerdown();
    platform.cas(true);
    for (index, _) in EACH {
        assert_eq!(platform.drc(index).expect("listed").state(), State::Configured, "{index}");
    }
    assert_eq!(platform.notices(), [deleted("other")]);
    assert_eq!(events(&mut platform), ["epow system-shutdown"]);
}

#[test]
fn a_reset_leaves_what_is_plugged_as_if_it_had_been_there_from_the_start() {
    let mut platform = plugged(What::Pci { phb: 0, devfn: 8 });
    platform.plug("dimm", What::Dimm { first: 4, blocks: 2 }, How::Hot).expect("room");
    acquire(&mut platform, LMB);
    platform.unplug("dimm").expect("it is there");
    assert_eq!(platform.notices(), [], "one of its blocks has been acquired");
    platform.powerdown();
    platform.reset();
    assert_eq!(platform.notices(), [deleted("dimm")]);
    assert_eq!(platform.drc(PCI).expect("listed").state(), State::Configured);
    assert_eq!(platform.drc(PCI).expect("listed").indicator(), ACTIVE);
    assert_eq!(platform.drc(DrcIndex(0x4000_0010)).expect("listed").indicator(), INACTIVE);
    assert_eq!(platform.drc(LMB).expect("listed").state(), State::Unusable);
    assert_eq!(events(&mut platform), Vec::<String>::new());
    platform.plug("dimm", What::Dimm { first: 4, blocks: 2 }, How::Hot).expect("room again");
    assert_eq!(events(&mut platform), ["epow memory add count:2"], "what CAS granted is forgotten");
}

#[test]
fn a_dimm_goes_when_its_last_block_is_released() {
    let mut platform = plugged(What::Dimm { first: 4, blocks: 2 });
    acquire(&mut platform, LMB);
    acquire(&mut platform, LMB_2);
    let _ = events(&mut platform);
    platform.unplug("device").expect("it is there");
    assert_eq!(platform.unplug("device"), Err(HostError::Refused("Memory unplug already in progress")));
    assert_eq!(events(&mut platform), ["hotplug memory remove count-indexed:2@80000004"]);
    release(&mut platform, LMB);
    assert_eq!(platform.notices(), []);
    assert_eq!(allocation(&mut platform, LMB, USABLE), Status::PARAMETER, "what is released is gone");
    release(&mut platform, LMB_2);
    assert_eq!(platform.notices(), [deleted("device")]);
    platform.plug("device", What::Dimm { first: 4, blocks: 2 }, How::Hot).expect("room again");
}

#[test]
fn a_refused_block_keeps_the_whole_dimm() {
    let mut platform = plugged(What::Dimm { first: 4, blocks: 2 });
    acquire(&mut platform, LMB);
    acquire(&mut platform, LMB_2);
    platform.unplug("device").expect("it is there");
    assert_eq!(isolation(&mut platform, LMB_2, ISOLATE), Status::SUCCESS);
    assert_eq!(isolation(&mut platform, LMB, UNISOLATE), Status::SUCCESS);
    assert!(!platform.drc(LMB_2).expect("listed").unplug_requested());
    assert_eq!(platform.notices().len(), 2);
    // The block that was isolated can come back.
    assert_eq!(isolation(&mut platform, LMB_2, UNISOLATE), Status::SUCCESS);
    assert_eq!(configure(&mut platform, LMB_2), Status::SUCCESS);
    platform.unplug("device").expect("it can be asked for again");
}

#[test]
fn older_versions_tell_a_refused_dimm_by_another_name_as_well() {
    let mut platform = Platform::new(Config { mem_unplug_error: true, ..Config::default() });
    platform.cas(true);
    platform.plug("device", What::Dimm { first: 4, blocks: 1 }, How::Hot).expect("room");
    acquire(&mut platform, LMB);
    platform.unplug("device").expect("it is there");
    assert_eq!(configure(&mut platform, LMB), Status::SUCCESS);
    let id = || "device".to_string();
    assert_eq!(platform.notices(), [Notice::MemoryRefused(id()), Notice::Refused(id())]);
}

#[test]
fn a_dimm_that_was_given_back_in_part_and_then_refused_ends_the_hypervisor() {
    let mut platform = plugged(What::Dimm { first: 4, blocks: 2 });
    acquire(&mut platform, LMB);
    acquire(&mut platform, LMB_2);
    platform.unplug("device").expect("it is there");
    release(&mut platform, LMB);
    assert_eq!(isolation(&mut platform, LMB_2, UNISOLATE), Status::SUCCESS);
    assert_eq!(allocation(&mut platform, LMB, USABLE), Status::PARAMETER, "the first block has no device");
    let first = What::Dimm { first: 4, blocks: 1 };
    assert_eq!(platform.plug("other", first, How::Hot), Err(HostError::Place), "but not a free one");
    assert_eq!(platform.unplug("device"), Err(HostError::Abort("spapr_drc_unplug_request")));
}

#[test]
fn a_core_can_be_asked_for_again_and_again() {
    let mut platform = plugged(What::Core(1));
    acquire(&mut platform, CORE);
    let _ = events(&mut platform);
    assert_eq!(platform.unplug("device").and(platform.unplug("device")), Ok(()));
    assert_eq!(events(&mut platform), ["hotplug cpu remove index:10000001"; 2]);
    assert_eq!(platform.thread_runs(1), Some(false));
    release(&mut platform, CORE);
    assert_eq!(platform.notices(), [deleted("device")]);
    assert_eq!(platform.thread_runs(1), None);
    assert!(matches!(platform.unplug("boot-core"), Err(HostError::Refused(_))));
}

#[test]
fn what_was_never_acquired_goes_at_once_and_is_told_all_the_same() {
    for (id, event) in [
        (CORE, Some("cpu remove index:10000001")),
        (LMB, Some("memory remove count-indexed:1@80000004")),
        (PHB, Some("phb remove index:20000005")),
        (PCI, None),
    ] {
        let what = EACH.iter().find(|(place, _)| *place == id).expect("a place").1;
        let mut platform = plugged(what);
        let _ = events(&mut platform);
        platform.unplug("device").expect("it is there");
        assert_eq!(platform.notices(), [deleted("device")]);
        let expected: Vec<_> = event.map(|event| std::format!("hotplug {event}")).into_iter().collect();
        assert_eq!(events(&mut platform), expected);
    }
}

#[test]
fn function_0_speaks_for_its_slot() {
    let mut platform = Platform::new(Config::default());
    platform.cas(true);
    let pci = |devfn| What::Pci { phb: 0, devfn };
    platform.plug("two", pci(0x0a), How::Hot).expect("free");
    assert_eq!(events(&mut platform), Vec::<String>::new());
    platform.plug("zero", pci(0x08), How::Hot).expect("free");
    let adds = ["hotplug pci add index:40000008", "hotplug pci add index:4000000a"];
    assert_eq!(events(&mut platform), adds);
    assert!(matches!(platform.plug("three", pci(0x0b), How::Hot), Err(HostError::Refused(_))));
    for index in [PCI, DrcIndex(0x4000_000a)] {
        acquire(&mut platform, index);
    }
    platform.unplug("two").expect("it is there");
    assert_eq!(events(&mut platform), Vec::<String>::new(), "alone it is not told");
    platform.unplug("zero").expect("it is there");
    let removes = ["hotplug pci remove index:4000000a", "hotplug pci remove index:40000008"];
    assert_eq!(events(&mut platform), removes);
    assert!(matches!(platform.unplug("zero"), Err(HostError::Refused(_))));
    for index in [DrcIndex(0x4000_000a), PCI] {
        assert_eq!(isolation(&mut platform, index, ISOLATE), Status::SUCCESS);
    }
    assert_eq!(platform.notices(), [deleted("two"), deleted("zero")]);
}

#[test]
fn a_host_bridge_goes_with_all_that_hangs_on_it() {
    let mut platform = plugged(What::Phb(5));
    acquire(&mut platform, PHB);
    let nic = DrcIndex(0x4005_0008);
    platform.plug("nic", What::Pci { phb: 5, devfn: 8 }, How::Hot).expect("free");
    acquire(&mut platform, nic);
    platform.unplug("device").expect("it is there");
    release(&mut platform, PHB);
    assert_eq!(platform.notices(), [deleted("nic"), deleted("device")]);
    assert_eq!(platform.drc(nic), None);
    platform.plug("device", What::Phb(5), How::Hot).expect("free again");
    assert!(platform.drc(nic).is_some());
}

#[test]
fn persistent_memory_stays() {
    let mut platform = plugged(What::Nvdimm(0));
    assert!(matches!(platform.unplug("device"), Err(HostError::Refused(_))));
}

#[test]
fn a_place_is_taken_once() {
    let mut platform = plugged(What::Dimm { first: 4, blocks: 2 });
    let mut plug = |id, what| platform.plug(id, what, How::Hot);
    assert_eq!(plug("device", What::Core(1)), Err(HostError::Name));
    assert_eq!(plug("b", What::Dimm { first: 5, blocks: 1 }), Err(HostError::Place));
    assert_eq!(plug("b", What::Dimm { first: 9, blocks: 2 }), Err(HostError::Place));
    assert_eq!(plug("b", What::Dimm { first: 6, blocks: 0 }), Err(HostError::Place));
    assert_eq!(plug("b", What::Dimm { first: u32::MAX, blocks: 2 }), Err(HostError::Place));
    assert_eq!(plug("b", What::Core(0)), Err(HostError::Place));
    assert_eq!(plug("b", What::Core(u32::MAX)), Err(HostError::Place));
    assert_eq!(plug("b", What::Phb(31)), Err(HostError::Place));
    assert_eq!(plug("b", What::Pci { phb: 3, devfn: 8 }), Err(HostError::Place));
    assert_eq!(plug("b", What::Nvdimm(2)), Err(HostError::Place));
}

#[test]
fn a_host_bridge_shows_what_was_behind_it_when_it_was_first_asked() {
    let mut platform = plugged(What::Phb(5));
    platform.plug("nic", What::Pci { phb: 5, devfn: 8 }, How::Hot).expect("free");
    acquire(&mut platform, PHB);
    platform.plug("late", What::Pci { phb: 5, devfn: 16 }, How::Hot).expect("free");
    let mut area = WorkArea::new(PHB);
    let mut stream = Vec::new();
    loop {
        let status = platform.configure_connector(&mut area);
        stream.push(status.0);
        if status == Status::SUCCESS {
            break;
        }
    }
    assert_eq!(stream, [2, 3, 3, 3, 2, 3, 3, 3, 4, 0]);
}

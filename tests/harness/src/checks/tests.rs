use super::{Evidence, all};
use crate::device::{Kind, LMB_BYTES};
use crate::qmp::Event;
use crate::scenario::{Plugged, Stage};
use crate::transcript::testing::saying;
use crate::transcript::{Mark, Transcript};
use crate::verdict::{Finding, Verdict, worst};
use paprika::log::{Damage, Hex, Learned, Outcome, Record, Request, Verdict as GuestVerdict};
use paprika::papr::drc::{DrcIndex, DrcKind};
use paprika::papr::status::{ReturnCode, Status};
use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

const LMB: DrcIndex = DrcIndex(0x8000_0004);
const CORE: DrcIndex = DrcIndex(0x1000_0001);

fn begin(drc: DrcIndex, request: Request, learned: Learned) -> Record<'static> {
    Record::Begin { drc, kind: drc.kind(), request, learned, event: None }
}

fn done(drc: DrcIndex, request: Request, outcome: Outcome) -> Record<'static> {
    Record::Done { drc, kind: drc.kind(), request, outcome, reason: "because".into() }
}

fn memory(bad: u64) -> Record<'static> {
    Record::Memory { drc: LMB, base: Hex(0x4000_0000), size: Hex(LMB_BYTES), pages: 65536, bad }
}

fn ran(rc: Status) -> Record<'static> {
    Record::Thread { drc: Some(CORE), server: 1, step: "run".into(), rc, value: Hex(0x1000) }
}

fn end(verdict: GuestVerdict) -> Record<'static> {
    Record::End { verdict, then: "poweroff".into(), done: 4, failed: 0, problems: 0, unknown: 0 }
}

fn drain(events: u32, rc: Status) -> Record<'static> {
    Record::Drain { call: "check-exception".into(), mask: Hex(0x1000_0000), events, rc }
}

fn told() -> Record<'static> {
    let (class, resource, action, id) = ("hotplug".into(), "cpu".into(), "remove".into(), "index:1".into());
    Record::Event { number: 1, class, resource, action, id, length: 116 }
}

/// The good life of a DIMM and a core.
fn good() -> Vec<Record<'static>> {
    vec![
        begin(LMB, Request::Add, Learned::Tree),
        memory(0),
        done(LMB, Request::Add, Outcome::Taken),
        begin(CORE, Request::Add, Learned::Event),
        ran(Status::SUCCESS),
        done(CORE, Request::Add, Outcome::Taken),
        begin(LMB, Request::Remove, Learned::Event),
        done(LMB, Request::Remove, Outcome::Released),
        begin(CORE, Request::Remove, Learned::Event),
        done(CORE, Request::Remove, Outcome::Released),
        end(GuestVerdict::Pass),
        drain(1, Status::NONE_FOUND),
        told(),
    ]
}

fn event(name: &str, data: Value) -> Event {
    Event { at: Duration::ZERO, timestamp: 0, name: name.into(), data }
}

fn good_events() -> Vec<Event> {
    vec![
        event("DEVICE_DELETED", json!({"device": "dimm", "path": "/machine/peripheral/dimm"})),
        event("DEVICE_DELETED", json!({"path": "/machine/peripheral/core/thread[0]"})),
        event("DEVICE_DELETED", json!({"device": "core", "path": "/machine/peripheral/core"})),
        event("SHUTDOWN", json!({"guest": true, "reason": "guest-shutdown"})),
    ]
}

fn devices(stage: Stage) -> Vec<Plugged> {
    let device = |id: &str, kind, connector| Plugged {
        id: id.into(),
        kind,
        window: "before-cas",
        connectors: vec![connector],
        since: Mark::default(),
        until: None,
        stage,
        refusal: None,
        listed: Vec::new(),
    };
    vec![device("dimm", Kind::Dimm(LMB_BYTES), LMB), device("core", Kind::Core, CORE)]
}

/// What is wrong with a run in which the guest says this.
fn problems_of(transcript: &Transcript, events: &[Event], trace: &str) -> Vec<Finding> {
    let evidence = Evidence {
        devices: &devices(Stage::GivenBack),
        transcript,
        events,
        trace,
        exit: Some(ExitStatus::from_raw(0).into()),
        wanted: GuestVerdict::Pass,
        complete: true,
    };
    let mut findings = all(&evidence);
    assert!(!findings.is_empty());
    findings.retain(|finding| finding.verdict != Verdict::Pass);
    findings
}

/// The only thing that is wrong when these records of the good life are replaced.
fn only_problem(change: impl FnOnce(&mut Vec<Record<'static>>)) -> Finding {
    let mut records = good();
    change(&mut records);
    let mut problems = problems_of(&saying(records), &good_events(), "");
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[test]
fn a_good_run_has_nothing_to_complain_about() {
    assert_eq!(problems_of(&saying(good()), &good_events(), ""), []);
}

#[test]
fn a_device_in_the_tree_and_in_an_event_is_a_ghost() {
    let problem = only_problem(|records| records.insert(3, begin(LMB, Request::Add, Learned::Event)));
    assert!(problem.detail.contains("ghost") && problem.detail.contains("tree, event"), "{problem}");
    assert_eq!((problem.subject.as_str(), problem.verdict), ("dimm", Verdict::Fail));
}

#[test]
fn a_device_that_never_reached_the_guest_is_lost() {
    let problem = only_problem(|records| drop(records.remove(0)));
    assert!(problem.detail.contains("lost"), "{problem}");
}

#[test]
fn a_request_that_failed_is_told_with_its_reason() {
    let problem = only_problem(|records| records[7] = done(LMB, Request::Remove, Outcome::Stuck));
    assert!(problem.detail.contains("stuck") && problem.detail.contains("because"), "{problem}");
    let problem = only_problem(|records| drop(records.remove(5)));
    assert!(problem.detail.contains("says nothing"), "{problem}");
}

#[test]
fn memory_that_forgets_is_a_failure_and_so_is_memory_that_nobody_tested() {
    assert!(only_problem(|records| records[1] = memory(3)).detail.contains("3 of 65536"));
    assert!(only_problem(|records| drop(records.remove(1))).detail.contains("no memory was tested"));
}

#[test]
fn a_core_must_have_run() {
    assert!(only_problem(|records| drop(records.remove(4))).detail.contains("no thread ran"));
    assert!(only_problem(|records| records[4] = ran(Status::HARDWARE)).detail.contains("hardware-error"));
}

#[test]
fn a_guest_that_is_not_content_fails_the_run() {
    assert_eq!(only_problem(|records| records[10] = end(GuestVerdict::Fail)).subject, "the guest");
    assert!(only_problem(|records| drop(records.remove(10))).detail.contains("no verdict"));
}

#[test]
fn an_event_that_was_taken_and_is_not_in_the_log_is_lost() {
    assert!(only_problem(|records| drop(records.pop())).detail.contains("1 were taken, 0 are"));
}

#[test]
fn a_queue_has_to_be_drained_to_its_end() {
    let problem = only_problem(|records| records[11] = drain(1, Status::SUCCESS));
    assert!(problem.detail.contains("ended with success"), "{problem}");
    let problem = only_problem(|records| records.truncate(11));
    assert!(problem.detail.contains("never drained"), "{problem}");
}

#[test]
fn an_event_that_nobody_understands_is_told() {
    let bytes = || Record::EventBytes { event: 1, problem: "cut".into(), bytes: vec![1].into() };
    assert!(only_problem(|records| records.push(bytes())).detail.contains("event 1: cut"));
}

#[test]
fn parts_of_a_device_are_not_the_device() {
    let mut events = good_events();
    events.remove(2);
    let problems = problems_of(&saying(good()), &events, "");
    assert!(
        matches!(&problems[..], [one] if one.property == "DEVICE_DELETED" && one.subject == "core"),
        "{problems:?}"
    );
}

#[test]
fn a_shutdown_by_the_host_is_not_the_guests() {
    let mut events = good_events();
    events[3] = event("SHUTDOWN", json!({"guest": false, "reason": "host-qmp-quit"}));
    assert_eq!(problems_of(&saying(good()), &events, "").len(), 1);
    events.truncate(3);
    assert_eq!(problems_of(&saying(good()), &events, "").len(), 1);
}

/// The life of a connector in QEMU's trace, as it should be: plugged, taken, asked back, released.
fn traced(connector: DrcIndex, configured_by: &str) -> String {
    let names =
        ["attach", configured_by, "unplug_request", "awaiting_quiesce", "set_allocation_state_finalizing"];
    names.map(|name| format!("1@2.3:spapr_drc_{name} drc: {:#x}\n", connector.0)).concat()
}

#[test]
fn the_trace_is_a_witness_only_where_there_is_one() {
    let trace = traced(LMB, "reset") + &traced(CORE, "set_configured");
    assert_eq!(problems_of(&saying(good()), &good_events(), &trace), []);
    for (lie, complaint) in [
        (traced(CORE, "realize"), "never configured"),
        (traced(CORE, "set_configured").replace("set_allocation_state_finalizing", "x"), "still holds"),
        (String::new(), "never configured"),
    ] {
        let problems = problems_of(&saying(good()), &good_events(), &(traced(LMB, "reset") + &lie));
        assert!(
            matches!(&problems[..], [one] if one.subject == "core" && one.detail.contains(complaint)),
            "{complaint}: {problems:?}"
        );
    }
}

#[test]
fn a_damaged_log_fails_the_run() {
    let mut transcript = saying(good());
    transcript.push(Duration::ZERO, "P[99 1 idle] note text=x *0000".into());
    assert_eq!(worst(&problems_of(&transcript, &good_events(), "")), Verdict::Fail);
}

#[test]
fn a_payload_of_another_version_is_an_error_that_says_what_to_do() {
    let mut transcript = saying(good());
    let own = transcript.lines()[0].text.clone();
    let mut other = Transcript::default();
    other.push(Duration::ZERO, resummed(&own.replace(env!("CARGO_PKG_VERSION"), "99.9.9")));
    let finding = super::of_version(&other).expect("it says which");
    assert_eq!(finding.verdict, Verdict::Error);
    assert!(finding.detail.contains("99.9.9") && finding.detail.contains("make payload"), "{finding}");

    let mut newer = Transcript::default();
    newer.push(Duration::ZERO, resummed(&own.replace(" initrd_size=", " colour=red initrd_size=")));
    assert_eq!(super::of_version(&newer).map(|finding| finding.verdict), Some(Verdict::Error));

    transcript.push(Duration::ZERO, "SLOF".into());
    assert_eq!(super::of_version(&transcript).map(|finding| finding.verdict), Some(Verdict::Pass));
}

/// A line of the log that was changed, with a sum that is right again.
fn resummed(line: &str) -> String {
    let text = line.rsplit_once(" *").expect("a sum").0;
    (0..=u16::MAX)
        .map(|sum| format!("{text} *{sum:04x}"))
        .find(|line| !matches!(paprika::log::parse(line), Some(Err(Damage::Sum { .. }))))
        .expect("one of them is right")
}

#[test]
fn what_a_stopped_run_did_not_come_to_is_not_held_against_it() {
    let evidence = Evidence {
        devices: &devices(Stage::Plugged),
        transcript: &saying([]),
        events: &[],
        trace: "",
        exit: None,
        wanted: GuestVerdict::Pass,
        complete: false,
    };
    assert_eq!(worst(&all(&evidence)), Verdict::Pass);
}

#[test]
fn what_qemu_refuses_to_unplug_is_skipped_with_its_words() {
    let mut devices = devices(Stage::Answered);
    devices.truncate(1);
    devices[0].refusal = Some("not supported without OS".into());
    let records = good().into_iter().take(3).chain([end(GuestVerdict::Pass), drain(0, Status::NONE_FOUND)]);
    let evidence = Evidence {
        devices: &devices,
        transcript: &saying(records),
        events: &good_events()[3..],
        trace: "",
        exit: Some(ExitStatus::from_raw(0).into()),
        wanted: GuestVerdict::Pass,
        complete: true,
    };
    let findings = all(&evidence);
    assert_eq!(worst(&findings), Verdict::Skip, "{findings:?}");
    assert!(findings.iter().any(|finding| finding.detail.contains("without OS")));
}

#[test]
fn the_kinds_of_the_samples_are_right() {
    assert_eq!((LMB.kind(), CORE.kind()), (DrcKind::LMB, DrcKind::CPU));
}

/// What a check of one device says of it.
fn verdict_of(property: &str, device: &Plugged, records: Vec<Record<'static>>, events: &[Event]) -> Verdict {
    let evidence = Evidence {
        devices: &[],
        transcript: &saying(records),
        events,
        trace: "",
        exit: None,
        wanted: GuestVerdict::Pass,
        complete: false,
    };
    let findings = super::of_device(device, &evidence);
    findings.iter().find(|finding| finding.property == property).expect("it was looked at").verdict
}

/// A device of this kind that the guest is through with.
fn taken(kind: Kind, connector: u32) -> Plugged {
    let like = devices(Stage::Answered).remove(0);
    Plugged { kind, connectors: vec![DrcIndex(connector)], ..like }
}

#[test]
fn a_device_of_each_kind_has_to_show_that_it_works() {
    let (pci, phb, pmem) = (DrcIndex(0x4000_0008), DrcIndex(0x2000_0005), DrcIndex(0x9000_0000));
    let hex = || Hex(0x1000);
    let io = Record::Io { drc: pci, what: "status".into(), address: hex(), value: hex() };
    let window = Record::Window { drc: phb, space: "io".into(), bus: hex(), real: hex(), size: hex() };
    let tried = Record::Memory { drc: pmem, base: hex(), size: hex(), pages: 1, bad: 0 };
    for (kind, connector, record) in [
        (Kind::Pci("e1000"), pci, io),
        (Kind::Phb, phb, window),
        (Kind::Nvdimm(LMB_BYTES), pmem, tried.clone()),
    ] {
        let device = taken(kind, connector.0);
        assert_eq!(verdict_of("works", &device, vec![record], &[]), Verdict::Pass, "{kind}");
        assert_eq!(verdict_of("works", &device, vec![], &[]), Verdict::Fail, "{kind}");
    }
    let refused = Record::Scm {
        drc: pmem,
        call: "bind".into(),
        about: hex(),
        rc: ReturnCode::P2,
        value: hex(),
        more: hex(),
    };
    let device = taken(Kind::Nvdimm(LMB_BYTES), pmem.0);
    assert_eq!(verdict_of("works", &device, vec![tried, refused], &[]), Verdict::Fail);
}

#[test]
fn what_qmp_lists_has_to_follow() {
    let gone = [event("DEVICE_DELETED", json!({"device": "dimm"}))];
    for (listed, events, right) in [
        (vec![(Stage::Answered, true)], &[][..], true),
        (vec![(Stage::Answered, false)], &[], false),
        (vec![(Stage::Answered, true), (Stage::GivenBack, false)], &gone, true),
        (vec![(Stage::Answered, true), (Stage::GivenBack, true)], &gone, false),
        // Where it was not deleted it has to be there.
        (vec![(Stage::Answered, true), (Stage::GivenBack, false)], &[], false),
    ] {
        let device = Plugged { stage: Stage::GivenBack, listed, ..devices(Stage::GivenBack).remove(0) };
        let verdict = verdict_of("agrees with QMP's lists", &device, good(), events);
        assert_eq!(verdict == Verdict::Pass, right, "{:?} {events:?}", device.listed);
    }
}

#[test]
fn only_what_a_qemu_lacks_excuses_a_plug_that_it_refuses() {
    let refused = |words: &str| {
        let refusal = Some(words.to_owned());
        let device = Plugged { stage: Stage::Refused, refusal, ..devices(Stage::Refused).remove(0) };
        verdict_of("plug", &device, vec![], &[])
    };
    assert_eq!(refused("'ivshmem-plain' is not a valid device model name"), Verdict::Skip);
    assert_eq!(refused("PHB hotplug not supported for this machine"), Verdict::Skip);
    assert_eq!(refused("nvdimm device found but 'nvdimm=off' was set"), Verdict::Skip);
    assert_eq!(refused("PCI: slot 5 function 0 already occupied"), Verdict::Fail);
}

#[test]
fn a_connector_that_is_used_again_tells_of_the_device_that_is_on_it() {
    let mut records = good();
    records.extend([begin(LMB, Request::Add, Learned::Event), done(LMB, Request::Add, Outcome::Taken)]);
    let log = saying(records.clone());
    let mut before = devices(Stage::GivenBack).remove(0);
    let property = "reaches the guest exactly once";
    assert_eq!(verdict_of(property, &before, records.clone(), &[]), Verdict::Fail);
    // The second one was plugged before the last two records were said.
    let place = log.places_since(Mark::default()).map(|(behind, _)| behind).nth(log.lines().len() - 3);
    before.until = place;
    assert_eq!(verdict_of(property, &before, records, &[]), Verdict::Pass);
}

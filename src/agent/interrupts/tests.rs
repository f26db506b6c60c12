use super::fake::{Fake, PAGE};
use super::{Claim, Controller, Intake};
use crate::machine::Taken;
use crate::openfirmware::tree::InterruptController;
use crate::papr::interrupt::{PRIORITY_EVENTS, PRIORITY_MASKED, PRIORITY_OPEN};
use crate::papr::rtas::Tokens;
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_oneof, proptest};

const HOT_PLUG: u32 = 0x1001;
const EPOW: u32 = 0x1000;
/// Queues of four entries, so that they are read round and round.
const SHIFT: u32 = 4;

/// A guest's half, on a model of the controller.
struct Bench {
    fake: Fake,
    controller: Controller,
    intake: Intake,
}

impl Bench {
    fn new(by_call: bool) -> Self {
        let found = InterruptController::Xive { page: PAGE, queues: vec![SHIFT, 16] };
        let controller = Controller::new(&found, 0, by_call);
        let intake = controller.intake();
        Self { fake: Fake::new(&[HOT_PLUG, EPOW]), controller, intake }
    }

    /// Every source is known and off, the processor is open.
    fn installed(by_call: bool) -> Self {
        let mut bench = Self::new(by_call);
        bench.controller.set_up(&mut bench.fake).expect("it is there");
        bench.route(HOT_PLUG, PRIORITY_MASKED);
        bench.route(EPOW, PRIORITY_MASKED);
        bench.controller.open(&mut bench.fake).expect("it opens");
        bench
    }

    fn armed(by_call: bool) -> Self {
        let mut bench = Self::installed(by_call);
        bench.route(HOT_PLUG, PRIORITY_EVENTS);
        bench.route(EPOW, PRIORITY_EVENTS);
        bench
    }

    fn route(&mut self, irq: u32, priority: u8) {
        let tokens = Tokens::read(|_| None);
        self.controller.route(&mut self.fake, &tokens, irq, 0, priority).expect("it is routed");
    }

    /// What the handler and the loop do when the processor is signalled.
    fn accept(&mut self) -> Vec<Claim> {
        assert!(self.fake.is_signalled(), "nothing is there");
        self.intake.accept(&mut self.fake, Taken::default())
    }

    fn end(&mut self, claim: Claim) {
        self.controller.release(&mut self.fake, &claim).expect("its source is ready");
        self.intake.end(&mut self.fake, &claim).expect("it ends");
    }

    /// Accepts and ends all that comes; the sources, in their order.
    fn serve(&mut self) -> Vec<u32> {
        let mut served = Vec::new();
        while self.fake.is_signalled() {
            assert!(served.len() < 1000, "it does not end");
            for claim in self.accept() {
                served.extend(claim.source);
                self.end(claim);
            }
        }
        served
    }
}

#[test]
fn what_comes_while_a_source_is_off_comes_when_it_is_on() {
    for by_call in [false, true] {
        let mut bench = Bench::installed(by_call);
        bench.fake.trigger(HOT_PLUG);
        assert!(!bench.fake.is_signalled());
        bench.route(HOT_PLUG, PRIORITY_EVENTS);
        assert_eq!(bench.serve(), [HOT_PLUG]);
        bench.fake.trigger(EPOW);
        // Switched off once more, it still keeps what came before.
        bench.route(EPOW, PRIORITY_MASKED);
        bench.route(EPOW, PRIORITY_EVENTS);
        assert_eq!(bench.serve(), [EPOW]);
        assert_eq!(bench.fake.touched > 0, !by_call);
    }
}

#[test]
fn what_comes_before_anybody_knows_the_source_is_lost() {
    let mut bench = Bench::new(false);
    bench.fake.trigger(HOT_PLUG);
    bench.controller.set_up(&mut bench.fake).expect("it is there");
    bench.controller.open(&mut bench.fake).expect("it opens");
    bench.route(HOT_PLUG, PRIORITY_EVENTS);
    assert_eq!(bench.serve(), [0; 0]);
}

#[test]
fn however_many_come_before_the_end_one_comes_after_it() {
    let mut bench = Bench::armed(false);
    bench.fake.trigger(HOT_PLUG);
    let claims = bench.accept();
    assert_eq!(claims.iter().map(|claim| claim.source).collect::<Vec<_>>(), [Some(HOT_PLUG)]);
    for _ in 0..3 {
        bench.fake.trigger(HOT_PLUG);
        assert!(!bench.fake.is_signalled(), "the processor is closed for this priority");
    }
    claims.into_iter().for_each(|claim| bench.end(claim));
    assert_eq!(bench.serve(), [HOT_PLUG]);
    assert_eq!(bench.fake.said.matches("call=trigger").count(), 1, "{}", bench.fake.said);
}

#[test]
fn sources_that_come_together_are_accepted_together_and_the_last_opens_the_processor() {
    let mut bench = Bench::armed(false);
    bench.fake.trigger(EPOW);
    bench.fake.trigger(HOT_PLUG);
    let claims = bench.accept();
    assert_eq!(claims.iter().map(|claim| claim.source).collect::<Vec<_>>(), [Some(EPOW), Some(HOT_PLUG)]);
    let mut priorities = Vec::new();
    for claim in claims {
        bench.end(claim);
        priorities.push(bench.fake.priority);
    }
    assert_eq!(priorities, [PRIORITY_EVENTS, PRIORITY_OPEN]);
}

#[test]
fn a_signal_with_an_empty_queue_opens_the_processor_again() {
    let mut bench = Bench::armed(false);
    bench.fake.trigger(EPOW);
    let first = bench.accept();
    bench.fake.priority = PRIORITY_OPEN;
    bench.fake.trigger(HOT_PLUG);
    // The entry is read with the others, and its signal comes late.
    let Intake::Xive { cursor, .. } = &mut bench.intake else { panic!("it is XIVE") };
    let entry = crate::machine::EventQueues::queue_entry(&bench.fake, 0, PRIORITY_EVENTS, cursor.place());
    assert_eq!(cursor.take(crate::papr::xive::Entry(entry)), Some(HOT_PLUG));
    let late = bench.accept();
    assert_eq!(late.iter().map(|claim| claim.source).collect::<Vec<_>>(), [None]);
    first.into_iter().chain(late).for_each(|claim| bench.end(claim));
    assert_eq!(bench.fake.priority, PRIORITY_OPEN);
}

#[test]
fn a_source_that_wants_calls_gets_calls() {
    let mut bench = Bench::new(false);
    bench.fake.by_call = true;
    bench.controller.set_up(&mut bench.fake).expect("it is there");
    bench.controller.open(&mut bench.fake).expect("it opens");
    bench.route(HOT_PLUG, PRIORITY_EVENTS);
    bench.fake.trigger(HOT_PLUG);
    assert_eq!(bench.serve(), [HOT_PLUG]);
    assert_eq!(bench.fake.touched, 0);
}

#[test]
fn a_reading_that_is_no_state_is_told_and_the_processor_opens_all_the_same() {
    let mut bench = Bench::armed(true);
    bench.fake.trigger(HOT_PLUG);
    bench.fake.swapped = true;
    for claim in bench.accept() {
        let problem =
            bench.controller.release(&mut bench.fake, &claim).expect_err("bytes in the wrong order");
        bench.intake.end(&mut bench.fake, &claim).expect("it ends");
        assert_eq!(problem, "Set00 of interrupt 0x1001: 0x200000000000000 is no P and Q");
    }
    assert_eq!(bench.fake.priority, PRIORITY_OPEN);
}

#[test]
fn a_source_that_is_not_there_is_told() {
    let mut bench = Bench::installed(false);
    let tokens = Tokens::read(|_| None);
    let answer = bench.controller.route(&mut bench.fake, &tokens, 0x1234, 0, PRIORITY_EVENTS);
    assert_eq!(answer, Err("source-info of interrupt 0x1234: H_P2".to_owned()));
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Trigger(u32),
    Off(u32),
    On(u32),
    Accept,
    End,
}

fn anything() -> impl Strategy<Value = Happens> {
    let irq = || prop_oneof![HOT_PLUG..=HOT_PLUG, EPOW..=EPOW];
    prop_oneof![
        3 => irq().prop_map(Happens::Trigger),
        1 => irq().prop_map(Happens::Off),
        1 => irq().prop_map(Happens::On),
        2 => (0..1).prop_map(|_| Happens::Accept),
        2 => (0..1).prop_map(|_| Happens::End),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_each_trigger_is_followed_by_an_interrupt(
        story in prop::collection::vec(anything(), 0..60), by_call in any::<bool>(),
    ) {
        let mut bench = Bench::armed(by_call);
        let mut unheard = Vec::new();
        let mut open: Vec<Claim> = Vec::new();
        let hear = |bench: &mut Bench, unheard: &mut Vec<u32>| {
            let claims = bench.accept();
            unheard.retain(|irq| !claims.iter().any(|claim| claim.source == Some(*irq)));
            claims
        };
        for happens in story {
            match happens {
                Happens::Trigger(irq) => {
                    bench.fake.trigger(irq);
                    unheard.push(irq);
                }
                Happens::Off(irq) => bench.route(irq, PRIORITY_MASKED),
                Happens::On(irq) => bench.route(irq, PRIORITY_EVENTS),
                Happens::Accept if bench.fake.is_signalled() => open.extend(hear(&mut bench, &mut unheard)),
                Happens::End if !open.is_empty() => {
                    let claim = open.remove(0);
                    bench.end(claim);
                }
                Happens::Accept | Happens::End => {}
            }
        }
        bench.route(HOT_PLUG, PRIORITY_EVENTS);
        bench.route(EPOW, PRIORITY_EVENTS);
        for _ in 0..20 {
            open.drain(..).for_each(|claim| bench.end(claim));
            if bench.fake.is_signalled() {
                open.extend(hear(&mut bench, &mut unheard));
            }
        }
        prop_assert!(unheard.is_empty() && open.is_empty(), "{unheard:x?}");
        prop_assert!(bench.fake.priority == PRIORITY_OPEN);
    }
}

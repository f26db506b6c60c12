//! What a guest gets that asks CAS for something else, or asks twice.

use super::{DIMM, as_it_is};
use crate::answers::bench::{Bench, Script};
use crate::stop::Stop;
use paprika::log::Record;

macro_rules! life {
    ($name:literal, $vectors:literal) => {
        Script {
            name: $name,
            story: concat!(
                "a DIMM comes before CAS, another when the handler is armed, which is asked back; ",
                $vectors
            ),
            append: concat!("hold=before-cas#1,idle#1 memtest=256m ", $vectors),
            arrange: as_it_is,
            play: life,
        }
    };
}

const DEFAULT: Script = life!("ov6-linux", "ov6=linux");
const OV6_ABSENT: Script = life!("ov6-absent", "ov6=absent");
const OV6_NONE: Script = life!("ov6-none", "ov6=none");
const OV6_AIX: Script = life!("ov6-aix", "ov6=aix");
const OV6_IBMI: Script = life!("ov6-ibmi", "ov6=ibmi");
const OV6_SHORT: Script = life!("ov6-short", "ov6=00");
const OV6_UNKNOWN: Script = life!("ov6-unknown", "ov6=0000ff");
const OV6_LONG: Script = life!("ov6-long", "ov6=00000200000000000000000000000000");
/// Every form of vector 6.
pub const ALL_OV6: &[&Script] =
    &[&DEFAULT, &OV6_ABSENT, &OV6_NONE, &OV6_AIX, &OV6_IBMI, &OV6_SHORT, &OV6_UNKNOWN, &OV6_LONG];
macro_rules! late {
    ($name:literal, $vectors:literal) => {
        Script {
            name: $name,
            story: concat!("a DIMM comes when the handler is armed, and is asked back; ", $vectors),
            append: concat!("hold=idle#1 memtest=256m ", $vectors),
            arrange: as_it_is,
            play: late,
        }
    };
}

/// Without vector 5.
pub const CLEARED: Script = late!("ov5-absent", "ov5=absent");
/// With a vector 5 that asks for nothing.
pub const ZEROS: Script = late!("ov5-zeros", "ov5=00000000000000000000000000000000000000000000000000");
/// Without the newer events only.
pub const WITHOUT_HP_EVT: Script = late!("ov5-without-hp-evt", "ov5=-hp-evt");

fn late(bench: &mut Bench<'_>) -> Result<(), Stop> {
    bench.pass("idle")?;
    let late = bench.plug("late", DIMM)?;
    bench.settle(&late)?;
    answers(bench);
    bench.fate(&late);
    if late.is_some() { bench.ask("late") } else { Ok(()) }
}

fn life(bench: &mut Bench<'_>) -> Result<(), Stop> {
    bench.hold("before-cas")?;
    let early = bench.plug("early", DIMM)?;
    bench.go()?;
    bench.pass("idle")?;
    let late = bench.plug("late", DIMM)?;
    bench.settle(&late)?;
    answers(bench);
    bench.fate(&early);
    bench.fate(&late);
    if late.is_some() { bench.ask("late") } else { Ok(()) }
}

/// Notes what CAS answered, each time.
fn answers(bench: &mut Bench<'_>) {
    let answers = bench.all(|record| match record {
        Record::CasAnswer { catch, result, granted } => {
            let granted =
                granted.map(|bytes| bytes.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            Some(format!("{catch} {result} granted {}", granted.unwrap_or_else(|| "nothing".to_owned())))
        }
        _ => None,
    });
    bench.facts.note("answers", answers);
}

/// Two CAS calls, with a plug before, between and after.
pub const CAS_TWICE: Script = Script {
    name: "cas-twice",
    story: "a DIMM comes before CAS, another after it; then the guest calls CAS once more",
    append: "hold=before-cas#1,after-cas#1,idle#1 memtest=256m",
    arrange: as_it_is,
    play: cas_twice,
};

fn cas_twice(bench: &mut Bench<'_>) -> Result<(), Stop> {
    bench.hold("before-cas")?;
    let early = bench.plug("early", DIMM)?;
    bench.go()?;
    bench.hold("after-cas")?;
    let between = bench.plug("between", DIMM)?;
    bench.machine.order("cas")?;
    bench.go()?;
    bench.pass("idle")?;
    bench.settle(&between)?;
    answers(bench);
    let boots = bench.machine.transcript().boots();
    bench.facts.note("boots", boots);
    bench.fate(&early);
    bench.fate(&between);
    if between.is_some() { bench.ask("between") } else { Ok(()) }
}

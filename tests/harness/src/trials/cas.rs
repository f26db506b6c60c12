//! CAS in all its forms: again and again, with other vectors, laid out wrongly, beside a thread, refused, by the hypervisor call.

use crate::defects::Step;
use crate::machine::Machine;
use crate::qtest::Qtest;
use crate::stop::Stop;
use crate::trials::case::Case;
use crate::trials::hands::leave;
use crate::trials::seen::{all, content, ends, judged, reach};
use anyhow::{Context, Result, ensure};
use paprika::log::{Change, Record, Verdict};
use paprika::papr::option_vectors::{Form, OptionVector, VectorOption};
use std::fmt::Write as _;

/// The guest holds before its own CAS, and takes orders there.
const HOLD: &str = "hold=before-cas#1 until=armed memtest=256m";
/// What a POWER9 or later is granted of what the guest asks for by itself.
const USUAL: &str = "190020000080050000000000000000000000000000008000400040";
/// A node of the tree with what CAS did to it.
type Difference = (String, Change, String);

/// What came of one CAS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    /// Both cells of the answer are 0.
    pub(crate) well: bool,
    /// The answer, for those who look closer.
    pub(crate) answer: (i64, i64),
    /// `ibm,architecture-vec-5` afterwards, in hexadecimal.
    pub(crate) granted: String,
    /// What became of the tree but for a seed of random numbers: of each node the properties that came, went and changed.
    pub(crate) tree: Vec<Difference>,
}

/// Has the guest call CAS with these words, and waits until it has told what came of it.
pub(crate) fn cas(machine: &mut Machine, words: &str) -> Result<Came, Stop> {
    let from = machine.transcript().mark();
    machine.order(format!("cas {words}").trim())?;
    machine.wait(&format!("what comes of `cas {words}`"), |machine| {
        let entries = || machine.transcript().entries_since(from).map(|entry| entry.record);
        let (answer, granted) = entries().find_map(|record| match record {
            Record::CasAnswer { catch, result, granted } => Some((
                (catch.0, result.0),
                granted.map(|bytes| bytes.0.iter().fold(String::new(), put_byte)).unwrap_or_default(),
            )),
            _ => None,
        })?;
        let well = answer == (0, 0);
        // How things are near each other is told behind the tree.
        let told = !well || entries().any(|record| matches!(record, Record::Affinity { .. }));
        let tree = entries().filter_map(|record| match record {
            Record::TreeDiff { node, change, came, went, changed } => {
                let seedless: Vec<&str> =
                    changed.0.split(';').filter(|name| !name.is_empty() && *name != "rng-seed").collect();
                let what = format!("+{came} -{went} *{}", seedless.join(";"));
                (change != Change::Changed || what != "+ - *").then(|| (node.to_string(), change, what))
            }
            _ => None,
        });
        told.then(|| Came { well, answer, granted, tree: tree.collect() })
    })
}

fn put_byte(mut text: String, byte: &u8) -> String {
    // A `String` takes everything.
    let _ = write!(text, "{byte:02x}");
    text
}

pub(crate) fn cases() -> Vec<Case> {
    let on_power9 = |case: Case| case.on(|setup| setup.cpu = Some("power9".into()));
    let mut cases = vec![
        Case::new("cas-forms", HOLD, forms).under_slof(),
        Case::new("cas-forms", HOLD, forms),
        Case::new("cas-forms-by-hcall", format!("{HOLD} cas=hcall"), forms),
        on_power9(Case::new("cas-options", HOLD, options)),
        Case::new("cas-other-options", HOLD, other_options),
        Case::new("cas-ov6", HOLD, vector_6),
        Case::new("cas-refused-at-boot", "pvr=power8 until=armed", |machine| {
            machine.start()?;
            ends(machine, Verdict::Fail)
        })
        .on(|setup| setup.cpu = Some("power9".into())),
        on_power9(Case::new("cas-refused", HOLD, refused)),
        Case::new("cas-beside-a-thread", HOLD, beside).on(|setup| setup.cpus = "2,maxcpus=4".into()),
        on_power9(Case::new("cas-bad-words", HOLD, bad_words)),
    ];
    cases.extend(deadly());
    cases
}

/// What a form comes to on QEMU: what is granted, or that CAS is refused.
const fn expected(form: Form) -> Option<&'static str> {
    match form {
        Form::Sound | Form::FullList | Form::CountHigh | Form::LengthHigh | Form::Odd | Form::AtEnd => {
            Some(USUAL)
        }
        // A vector 5 of zeroes, or one that is read from the wrong place.
        Form::LongList | Form::LengthLow | Form::LengthsHigh => Some("0000"),
        // What lies beyond the end of memory reads as zeroes.
        Form::AcrossEnd => Some("05002000008005"),
        // No vector 5.
        Form::NoEnd | Form::CountLow | Form::ListAcrossEnd | Form::BeyondEnd => None,
    }
}

/// Every form is refused, or taken as far as it can be read; what was granted before a refusal stays; QEMU stands, and a sound
/// CAS works after each of them.
fn forms(machine: &mut Machine) -> Result<()> {
    reach(machine, "before-cas")?;
    // The end of memory is claimed here: VOF has nothing to give any more after a CAS by the hypervisor call.
    cas(machine, "cas=method form=at-end")?;
    for &form in Form::ALL {
        let before = cas(machine, "")?;
        ensure!(before.well && before.granted == USUAL, "before {form}: {before:?}");
        let came = cas(machine, &format!("form={form}"))?;
        let wanted = expected(form);
        ensure!(came.well == wanted.is_some(), "{form}: {came:?}");
        // The hypervisor hands out no tree when it refuses.
        ensure!(
            came.granted == wanted.unwrap_or(USUAL) || !came.well && came.granted.is_empty(),
            "{form}: {came:?}"
        );
        if !came.well {
            // H_PARAMETER, or what SLOF makes of it.
            ensure!([(-4, 0), (0, -1)].contains(&came.answer), "{form}: {came:?}");
        }
    }
    machine.go()?;
    content(machine)
}

/// An option that QEMU honours: the vectors without it and with it, and the nodes that show it, with what became of them when it
/// was switched on. No node: nothing in the tree shows it.
struct Honoured {
    option: VectorOption,
    off: &'static str,
    on: &'static str,
    shows: &'static [(&'static str, &'static str)],
}

/// On a POWER9 with both interrupt controllers.
const HONOURED: &[Honoured] = &[
    Honoured {
        option: VectorOption::DRCONF_MEMORY,
        off: "ov5=-drconf-memory",
        on: "",
        shows: &[("/ibm,dynamic-reconfiguration-memory", "ibm,dynamic-memory-v2")],
    },
    Honoured {
        option: VectorOption::DRMEM_V2,
        off: "ov5=-drmem-v2",
        on: "",
        shows: &[("/ibm,dynamic-reconfiguration-memory", "+ibm,dynamic-memory-v2 -ibm,dynamic-memory *")],
    },
    Honoured { option: VectorOption::FORM1, off: "ov5=-form1", on: "", shows: &[] },
    Honoured {
        option: VectorOption::FORM2,
        off: "",
        on: "ov5=+form2",
        shows: &[
            ("/ibm,dynamic-reconfiguration-memory", "*ibm,associativity-lookup-arrays"),
            ("/memory@0", "*ibm,associativity"),
            ("/rtas", "+ibm,numa-distance-table;ibm,numa-lookup-index-table"),
        ],
    },
    // Its effect is on events: see `cas-hp-evt-switched`.
    Honoured { option: VectorOption::HP_EVT, off: "ov5=-hp-evt", on: "", shows: &[] },
    // Without it a guest that uses a hash table gets one that is large enough for all memory that can come.
    Honoured {
        option: VectorOption::HPT_RESIZE,
        off: "ov5=-hpt-resize,-radix,-radix-gtse",
        on: "ov5=-radix,-radix-gtse",
        shows: &[],
    },
    Honoured {
        option: VectorOption::XIVE,
        off: "",
        on: "ov5=+xive",
        shows: &[
            ("/", "+ibm,plat-res-int-priorities - *"),
            ("/interrupt-controller", "interrupt-controller"),
            ("/interrupt-controller@60302031b0000", "ibm,xive-eq-sizes"),
        ],
    },
    Honoured { option: VectorOption::RADIX, off: "ov5=-radix", on: "", shows: &[] },
    Honoured { option: VectorOption::RADIX_GTSE, off: "ov5=-radix-gtse", on: "", shows: &[] },
];

/// Each option that QEMU honours is granted when it is asked for and only then, and the tree shows it as it should and shows
/// nothing else.
fn options(machine: &mut Machine) -> Result<()> {
    reach(machine, "before-cas")?;
    for one in HONOURED {
        let name = one.option.name;
        let (off, on) = (cas(machine, one.off)?, cas(machine, one.on)?);
        ensure!(off.well && on.well, "{name}: {off:?} {on:?}");
        let granted = all(machine, |record| match record {
            Record::CasOption { name: said, granted, .. } if said.0 == name => Some(granted),
            _ => None,
        });
        ensure!(granted.last() == Some(&1), "{name} is asked for and not granted: {granted:?}");
        ensure!(off.granted != on.granted, "{name} is granted without being asked for");
        let mut nodes: Vec<&Difference> = on.tree.iter().filter(|(node, ..)| node != "/chosen").collect();
        for (node, what) in one.shows {
            let found = nodes.iter().position(|(here, _, became)| here == node && became.contains(what));
            let found =
                found.with_context(|| format!("{name}: {node} does not show {what}: {:?}", on.tree))?;
            nodes.remove(found);
        }
        ensure!(nodes.is_empty(), "{name} changes {nodes:?}");
    }
    // The level that vector 1 lacks is taken from what the processor can do.
    let without = cas(machine, "ov1=-3.00")?;
    let features =
        |(node, _, what): &Difference| node.starts_with("/cpus/") && what == "+ - *ibm,pa-features";
    ensure!(without.tree.iter().any(features), "without 3.00: {without:?}");
    machine.go()?;
    content(machine)
}

/// What QEMU does not honour is not granted, and changes nothing in the tree.
fn other_options(machine: &mut Machine) -> Result<()> {
    reach(machine, "before-cas")?;
    let usual = cas(machine, "")?;
    let honoured = |option: &VectorOption| HONOURED.iter().any(|one| one.option == *option);
    let words: Vec<String> = VectorOption::of(OptionVector::Ov5)
        .filter(|option| !honoured(option))
        .map(|option| format!("+{}", option.name))
        .collect();
    ensure!(words.len() > 20, "only {words:?}");
    for words in [format!("ov5={}", words.join(",")), format!("ov5={}", words.join(",").replace('+', "-"))] {
        let came = cas(machine, &words)?;
        ensure!(came.well && came.granted == usual.granted && came.tree.is_empty(), "{words}: {came:?}");
    }
    for which in ["ov2", "ov3", "ov4"] {
        let came = cas(machine, &format!("{which}=absent"))?;
        ensure!(came.well && came.granted == usual.granted && came.tree.is_empty(), "{which}: {came:?}");
    }
    machine.go()?;
    content(machine)
}

/// Nothing that can be seen depends on vector 6, whatever it holds.
fn vector_6(machine: &mut Machine) -> Result<()> {
    reach(machine, "before-cas")?;
    let usual = cas(machine, "")?;
    let longest = "ff".repeat(256);
    for form in
        ["absent", "00", "0000", "none", "linux", "aix", "ibmi", "0000ff", "0000020000000000", &longest]
    {
        let came = cas(machine, &format!("ov6={form}"))?;
        ensure!(came.well && came.granted == usual.granted && came.tree.is_empty(), "{form}: {came:?}");
    }
    machine.go()?;
    content(machine)
}

/// A CAS that is refused changes nothing that was granted, and the next one works.
fn refused(machine: &mut Machine) -> Result<()> {
    reach(machine, "before-cas")?;
    for granted in ["0000", USUAL] {
        // A processor that this one is not, and none at all.
        for pvr in ["power8", "end", "0/1"] {
            let came = cas(machine, &format!("pvr={pvr}"))?;
            ensure!([(-1, 0), (0, -1)].contains(&came.answer), "{pvr}: {came:?}");
            ensure!(came.granted == granted, "{pvr}: {came:?}");
        }
        let came = cas(machine, "")?;
        ensure!(came.well && came.granted == USUAL, "{came:?}");
    }
    machine.go()?;
    content(machine)
}

/// Words that mean nothing, or are not about CAS, are named, and nobody is asked.
fn bad_words(machine: &mut Machine) -> Result<()> {
    reach(machine, "before-cas")?;
    for (words, says) in
        [("ov5=+hotplug", "no option"), ("then=idle", "CAS has only"), ("form=round", "none of")]
    {
        let from = machine.transcript().mark();
        machine.order(&format!("cas {words}"))?;
        machine.wait_for_record("that the words are wrong", from, |record| {
            matches!(record, Record::Problem { what, detail, .. } if what.0 == "cas" && detail.0.contains(says))
        })?;
    }
    machine.go()?;
    content(machine)?;
    let asked = all(machine, |record| matches!(record, Record::CasAsk { .. }).then_some(()));
    ensure!(asked.len() == 1, "CAS was called {} times", asked.len());
    Ok(())
}

/// Memory that nobody uses, for the code of the second thread and the word that it waits for.
const SCRATCH: u32 = 192 << 20;
/// Spins while the word at r3 is 0, then gives itself away for ever.
///
/// Ref: ISA 3.1B I 3.3 (lwz, cmpwi, bc, addi, sc, b); LoPAR 14.5.4.4.1 (`H_CEDE`)
const SPIN_THEN_CEDE: [u32; 6] = [
    0x8083_0000, // lwz r4, 0(r3)
    0x2c04_0000, // cmpwi r4, 0
    0x4182_fff8, // beq to the first
    0x3860_00e0, // li r3, H_CEDE
    0x4400_0022, // sc 1
    0x4bff_fff8, // b to the li
];

/// Beside a thread that runs CAS is refused, and changes nothing; when the thread has given itself away, it works.
fn beside(machine: &mut Machine) -> Result<()> {
    const WORD: u32 = SCRATCH + 0x80;
    const CELLS: u64 = SCRATCH as u64 + 0x100;
    reach(machine, "before-cas")?;
    let qtest = Qtest::attach(machine)?;
    let mut qtest = qtest.context("no qtest")?;
    for (address, word) in (u64::from(SCRATCH)..).step_by(4).zip(SPIN_THEN_CEDE) {
        qtest.write_word(address, word)?;
    }
    qtest.write_word(WORD.into(), 0)?;
    let status = qtest.rtas("start-cpu", &[1, SCRATCH, WORD], 1, CELLS)?;
    ensure!(status == 0, "start-cpu answers {status}");
    for _ in 0..2 {
        let came = cas(machine, "")?;
        // H_MULTI_THREADS_ACTIVE, or what SLOF makes of it.
        ensure!([(-9005, 0), (0, -1)].contains(&came.answer) && came.granted == "0000", "{came:?}");
    }
    qtest.write_word(WORD.into(), 1)?;
    let mut came = cas(machine, "")?;
    for _ in 0..20 {
        if came.well {
            break;
        }
        came = cas(machine, "")?;
    }
    ensure!(came.well && came.granted == USUAL, "{came:?}");
    machine.go()?;
    content(machine)
}

/// What ends QEMU: a name, the options of the machine and the processor, the words behind `cas`, and the defect.
const DEADLY: [(&str, &str, &str, &str, Step); 12] = [
    ("either-controller", "", "power9", "ov5=0000000000000000000000000000000000000000000080", Step::CasUnfit),
    (
        "either-translation",
        "",
        "power9",
        "ov5=000000000000000000000000000000000000000000000080",
        Step::CasUnfit,
    ),
    ("xive-of-power8", "", "power8", "ov5=+xive", Step::CasUnfit),
    ("xive-of-xics", "ic-mode=xics", "power9", "ov5=+xive", Step::CasUnfit),
    ("xics-of-xive", "ic-mode=xive", "power9", "ov5=-xive", Step::CasUnfit),
    ("no-resizing", "resize-hpt=required", "power9", "ov5=-hpt-resize,-radix,-radix-gtse", Step::CasUnfit),
    ("older", "", "power10", "pvr=power10,2.07", Step::CasOlder),
    ("room-0", "", "power9", "cas=hcall:0", Step::CasRoom),
    ("room-4", "", "power9", "cas=hcall:4", Step::CasRoom),
    ("room-1024", "", "power9", "cas=hcall:1024", Step::CasRoom),
    ("opening", "", "power9", "cas=hcall", Step::CasThenOpen),
    ("claiming", "", "power9", "cas=hcall", Step::CasThenOpen),
];

fn deadly() -> impl Iterator<Item = Case> {
    DEADLY.into_iter().map(|(name, machine_options, cpu, words, step)| {
        let play = move |machine: &mut Machine| {
            judged(machine, |run, machine| {
                reach(machine, "before-cas")?;
                run.turn_to(step);
                cas(machine, words)?;
                match name {
                    "opening" => drop(cas(machine, "")?),
                    "claiming" => drop(cas(machine, "cas=hcall form=at-end")?),
                    _ => {}
                }
                // With what the machine has, if it still stands.
                if words.ends_with("-xive") {
                    cas(machine, "ov5=+xive")?;
                }
                machine.go()?;
                leave(run, machine)
            })
            .map(drop)
        };
        let case = Case::new(format!("cas-deadly-{name}"), "hold=before-cas#1", play);
        case.on(move |setup| {
            setup.cpu = Some(cpu.into());
            setup.machine = Some(machine_options.into()).filter(|options: &String| !options.is_empty());
        })
    })
}

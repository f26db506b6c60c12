//! The table of boot arguments: for each its form, its help and its reader.

use super::{Arguments, Crash, CrashKind, Manners, MemTest, Print, Sources, Task, Then, Until, Wait, Way};
use crate::agent::station::{Holds, Station};
use crate::hotplug::policy::Rules;
use crate::log::Field;
use crate::papr::option_vectors::{Form, OptionVector, Override, parse_list};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

/// How a key is read.
#[derive(Clone, Copy)]
pub(super) enum Take {
    /// The word stands alone.
    Alone(fn(&mut Arguments)),
    /// A value follows; on an error nothing has changed.
    Value(fn(&mut Arguments, &str) -> Result<(), String>),
}

/// One row of the table.
pub(super) struct Key {
    /// What stands before the `=`.
    pub(super) key: &'static str,
    /// The word as the help shows it.
    pub(super) form: &'static str,
    /// What it does, in one line.
    pub(super) meaning: &'static str,
    /// How it is read.
    pub(super) take: Take,
}

const fn alone(key: &'static str, meaning: &'static str, take: fn(&mut Arguments)) -> Key {
    Key { key, form: key, meaning, take: Take::Alone(take) }
}

const fn value(
    key: &'static str,
    form: &'static str,
    meaning: &'static str,
    take: fn(&mut Arguments, &str) -> Result<(), String>,
) -> Key {
    Key { key, form, meaning, take: Take::Value(take) }
}

/// The keys that are about CAS: the order of its name takes them, too.
pub(super) const CAS: &[&str] = &["pvr", "ov1", "ov2", "ov3", "ov4", "ov5", "ov6", "cas", "form"];

/// All keys, in the order of the help.
pub(super) const KEYS: &[Key] = &[
    alone("help", "prints this", |to| to.help = true),
    value(
        "task",
        "task=hotplug|transitions",
        "takes what is plugged (default), or measures its connectors: every call from every state",
        |to, text| put(&mut to.task, choice(Task::ALL, text)),
    ),
    value(
        "hold",
        "hold=<station>[#<visit>],#<call>",
        "waits for the host at stations, or before a call by its number; a wrong name lists the stations",
        |to, text| put(&mut to.holds, Holds::parse(text)),
    ),
    value(
        "until",
        "until=shutdown|armed",
        "ends when told to shut down (default), or after the first drain of the event queue",
        |to, text| put(&mut to.until, choice(Until::ALL, text)),
    ),
    value(
        "then",
        "then=poweroff|idle|reboot|panic",
        "what to do at the end; default poweroff",
        |to, text| put(&mut to.then, choice(Then::ALL, text)),
    ),
    value(
        "crash",
        "crash=panic|trap|load|stack[@<station>]",
        "breaks the guest on purpose, at client-interface-up or at that station",
        |to, text| put(&mut to.crash, crash(text).map(Some)),
    ),
    value(
        "pvr",
        "pvr=<name>|<mask>/<value>,...",
        "the processors that CAS lists: power9, 3.00, ffff0000/004e0000; a wrong name lists them",
        |to, text| {
            to.overrides.set_pvrs(parse_list(text).map_err(sentence)?);
            Ok(())
        },
    ),
    value("ov1", "ov1=<hex>|+<option>,-<option>|absent", "option vector 1: processor levels", |to, text| {
        vector(to, OptionVector::Ov1, text)
    }),
    value("ov2", "ov2=<hex>|+<option>,-<option>|absent", "option vector 2: Open Firmware", |to, text| {
        vector(to, OptionVector::Ov2, text)
    }),
    value(
        "ov3",
        "ov3=<hex>|+<option>,-<option>|absent",
        "option vector 3: processor facilities",
        |to, text| vector(to, OptionVector::Ov3, text),
    ),
    value("ov4", "ov4=<hex>|+<option>,-<option>|absent", "option vector 4: the platform", |to, text| {
        vector(to, OptionVector::Ov4, text)
    }),
    value(
        "ov5",
        "ov5=<hex>|+<option>,-<option>|absent",
        "option vector 5: its bytes after the length byte, or edits as +hp-evt,-drmem-v2 (a wrong name lists them); \
         absent is one zero byte unless ov6 is absent, too",
        |to, text| vector(to, OptionVector::Ov5, text),
    ),
    value(
        "ov6",
        "ov6=linux|aix|ibmi|none|absent|<hex>|+<option>,-<option>",
        "option vector 6: the operating system; default linux",
        |to, text| vector(to, OptionVector::Ov6, text),
    ),
    value(
        "cas",
        "cas=method|hcall[:<bytes>]",
        "calls CAS by the firmware's method (default), or by the hypervisor call behind it, with that much room for the tree",
        |to, text| put(&mut to.cas, Way::parse(text)),
    ),
    value(
        "form",
        "form=<form>",
        "lays the argument of CAS out wrongly, or at an odd place, as count-high or at-end; a wrong name lists the forms",
        |to, text| put(&mut to.form, choice(Form::ALL, text)),
    ),
    value(
        "memtest",
        "memtest=4k|64k|1m|256m|none",
        "the stride of the test of plugged memory; default 4k",
        |to, text| put(&mut to.memtest, choice(MemTest::ALL, text)),
    ),
    value(
        "policy",
        "policy=[add:|remove:][<kind>:]<policy>[@<n>],...",
        "how to treat what the host asks for: accept, refuse, refuse-by-configuring, ignore, late:<ms>, half:<calls>, \
         unasked, twice, touch; @n: only the nth connector of a request; the last that fits counts",
        |to, text| put(&mut to.policy, Rules::parse(text)),
    ),
    value(
        "pmem",
        "pmem=careful|bold",
        "bold writes to persistent memory that says that it cannot keep anything; careful, the default, only reads it",
        |to, text| put(&mut to.pmem, choice(Manners::ALL, text)),
    ),
    value(
        "wait",
        "wait=cede|spin",
        "how to wait for the host: spin keeps the processor, for a QEMU that loses the decrementer when it migrates",
        |to, text| put(&mut to.wait, choice(Wait::ALL, text)),
    ),
    value(
        "xive",
        "xive=pages|calls",
        "how interrupt sources are reached when CAS has chosen XIVE (ov5=+xive): by their pages (default) or by H_INT_ESB",
        |to, text| put(&mut to.xive, choice(Sources::ALL, text)),
    ),
    value(
        "print",
        "print=fragments,tree,sections",
        "what to print in full: what configure-connector hands out, the tree, the sections of events",
        |to, text| {
            put(&mut to.print, text.split(',').map(|word| choice(Print::ALL, word)).collect::<Result<_, _>>())
        },
    ),
    value(
        "tree-max",
        "tree-max=<bytes>[k|m]",
        "the most that the flattened device tree may have",
        |to, text| put(&mut to.tree_max, size(text).map(Some)),
    ),
    value("heap", "heap=<bytes>[k|m]", "the size of the heap", |to, text| {
        put(&mut to.heap, size(text).map(Some))
    }),
];

/// Stores what was read.
fn put<T>(slot: &mut T, value: Result<T, impl Display>) -> Result<(), String> {
    *slot = value.map_err(sentence)?;
    Ok(())
}

fn sentence(problem: impl Display) -> String {
    problem.to_string()
}

/// One word of a closed set.
fn choice<'a, T: Field<'a> + Display>(all: &[T], text: &'a str) -> Result<T, String> {
    T::get(text).ok_or_else(|| {
        let words: Vec<_> = all.iter().map(T::to_string).collect();
        format!("\"{text}\" is none of: {}", words.join(", "))
    })
}

fn crash(text: &str) -> Result<Crash, String> {
    let (kind, at) = text.split_once('@').unwrap_or((text, Station::ClientInterfaceUp.word()));
    Ok(Crash { kind: choice(CrashKind::ALL, kind)?, at: choice(Station::ALL, at)? })
}

fn vector(to: &mut Arguments, which: OptionVector, text: &str) -> Result<(), String> {
    to.overrides.set_vector(which, Override::parse(which, text).map_err(sentence)?);
    Ok(())
}

/// A number of bytes from 1, with `k` or `m` for binary thousands and millions.
fn size(text: &str) -> Result<u64, String> {
    bytes(text).ok_or_else(|| format!("\"{text}\" is no number of bytes from 1, such as 65536, 64k or 4m"))
}

/// A number of bytes from 1, perhaps in KiB or MiB.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match (text.strip_suffix('k'), text.strip_suffix('m')) {
        (Some(digits), _) => (digits, 1 << 10),
        (_, Some(digits)) => (digits, 1 << 20),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().ok().filter(|_| !digits.starts_with('+'))?;
    number.checked_mul(unit).filter(|&bytes| bytes > 0)
}

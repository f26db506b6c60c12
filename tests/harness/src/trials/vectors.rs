//! What is asked of CAS can be told to the guest; what it asked is in its log, and what it got.

use crate::machine::Machine;
use crate::trials::case::Case;
use crate::trials::seen::{content, find, negotiated};
use anyhow::{Result, ensure};
use paprika::log::Record;

/// The forms of vector 6, and the bytes that the guest must hand to CAS; none where the vector must not be there.
const OPERATING_SYSTEMS: [(&str, Option<&[u8]>); 7] = [
    ("linux", Some(&[0, 0, 2])),
    ("aix", Some(&[0, 0, 1])),
    ("ibmi", Some(&[0, 0, 3])),
    ("none", Some(&[0, 0, 0])),
    ("absent", None),
    ("010203", Some(&[1, 2, 3])),
    ("+no-secondary-pteg", Some(&[0, 0x80, 2])),
];

/// The processors of a POWER9 guest, as the log shows them.
const POWER9: &str = "ffff0000/004e0000,ffffffff/0f000005";

pub(crate) fn cases() -> Vec<Case> {
    let on_power9 = |name: &str, pvr: &str| {
        Case::new(name, format!("until=armed pvr={pvr}"), |machine| processors(machine, POWER9))
            .on(|setup| setup.cpu = Some("power9".into()))
    };
    let mut cases = vec![
        on_power9("pvr-by-name", "power9,3.00"),
        on_power9("pvr-by-number", POWER9),
        Case::new("ov5-absent", "until=armed ov5=absent", |machine| vector(machine, 5, Some(&[0]), Some(0))),
        Case::new("ov5-by-number", "until=armed ov5=0020000080", |machine| {
            vector(machine, 5, Some(&[0, 0x20, 0, 0, 0x80]), None)
        }),
    ];
    cases.extend(OPERATING_SYSTEMS.into_iter().map(|(form, bytes)| {
        let play = move |machine: &mut Machine| vector(machine, 6, bytes, None);
        Case::new(format!("ov6-{form}"), format!("until=armed ov6={form}"), play)
    }));
    cases
}

/// The guest lists exactly the processors that it was told to list, and CAS takes them.
fn processors(machine: &mut Machine, wanted: &str) -> Result<()> {
    machine.start()?;
    content(machine)?;
    negotiated(machine)?;
    let asked = find(machine, "what it asks of CAS", |record| match record {
        Record::CasAsk { pvr, .. } => Some(pvr.to_string()),
        _ => None,
    })?;
    ensure!(asked == wanted, "the guest lists {asked}");
    Ok(())
}

/// The guest hands over exactly this vector, CAS takes it, and grants as many options as `granted` says.
fn vector(machine: &mut Machine, number: usize, wanted: Option<&[u8]>, granted: Option<usize>) -> Result<()> {
    machine.start()?;
    content(machine)?;
    negotiated(machine)?;
    let block = find(machine, "what it asks of CAS", |record| match record {
        Record::CasAsk { vectors, .. } => Some(vectors.0.to_vec()),
        _ => None,
    })?;
    let vectors = split(&block);
    ensure!(
        vectors.get(number - 1).copied() == wanted,
        "vector {number} is not {wanted:02x?}: {vectors:02x?}"
    );
    let options = crate::trials::seen::all(machine, |record| match record {
        Record::CasOption { name, granted, .. } if granted != 0 => Some(name.to_string()),
        _ => None,
    });
    ensure!(granted.is_none_or(|count| count == options.len()), "granted: {options:?}");
    Ok(())
}

/// The vectors of a block: of each its length less one, then its bytes.
///
/// Ref: LoPAR B.6.2.3
fn split(mut block: &[u8]) -> Vec<&[u8]> {
    let mut vectors = Vec::new();
    while let [length, rest @ ..] = block {
        let (vector, after) = rest.split_at((usize::from(*length) + 1).min(rest.len()));
        vectors.push(vector);
        block = after;
    }
    vectors
}

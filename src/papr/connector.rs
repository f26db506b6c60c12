//! `ibm,configure-connector`: the work area, and one answer at a time.
//!
//! The call hands out the device tree fragment of a connector step by step through one page that caller and firmware
//! share: the caller puts the connector's index there, the firmware answers with a node or a property at a time.
//!
//! Ref: LoPAR 13.5.3.5 (ibm,configure-connector), QEMU hw/ppc/spapr_drc.c (rtas_ibm_configure_connector)

use super::drc::DrcIndex;
use super::status::Status;
use crate::wire::{Reader, Short};

/// Bytes of the work area.
pub const WORK_AREA: usize = 4096;

/// The page that is shared with the firmware during the sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkArea(pub [u8; WORK_AREA]);

impl WorkArea {
    /// An empty area that asks for the fragment of `index`.
    pub fn new(index: DrcIndex) -> Self {
        let mut area = Self([0; WORK_AREA]);
        area.0[..4].copy_from_slice(&index.0.to_be_bytes());
        area
    }
}

/// Where the offset of a name stands.
const NAME_OFFSET: usize = 8;
/// Where the length of a property stands; its offset follows.
const PROPERTY_LENGTH: usize = 12;

/// One answer of the firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The fragment is complete.
    Complete,
    /// A node that is a sibling of the current one follows.
    Sibling(&'a [u8]),
    /// A node below the current one follows.
    Child(&'a [u8]),
    /// A property of the current node.
    Property {
        /// Its name.
        name: &'a [u8],
        /// Its value, as far as it is in the work area.
        value: &'a [u8],
        /// Bytes of the value that did not fit into the work area.
        cut: usize,
    },
    /// Back to the parent of the current node.
    Parent,
    /// Call again, after that many milliseconds.
    Again(u32),
    /// The call failed, or its status is unknown.
    Failed(Status),
}

/// Reads the answer out of the work area.
///
/// # Errors
/// [`Short`] when an offset points outside the area or a name has no end.
pub fn step(status: Status, area: &WorkArea) -> Result<Step<'_>, Short> {
    Ok(match status.0 {
        0 => Step::Complete,
        1 => Step::Sibling(name(area)?),
        2 => Step::Child(name(area)?),
        3 => property(area)?,
        4 => Step::Parent,
        _ => match status.retry_after_ms() {
            Some(delay) => Step::Again(delay),
            None => Step::Failed(status),
        },
    })
}

fn at<'a>(area: &'a WorkArea, offset: usize, what: &'static str) -> Result<Reader<'a>, Short> {
    let mut reader = Reader::new(&area.0);
    reader.take(offset, what)?;
    Ok(reader)
}

fn cell(area: &WorkArea, offset: usize, what: &'static str) -> Result<usize, Short> {
    // A usize holds a u32 on every machine that this runs on, host or guest.
    at(area, offset, what)?.u32(what).map(|cell| cell as usize)
}

fn name(area: &WorkArea) -> Result<&[u8], Short> {
    let offset = cell(area, NAME_OFFSET, "name offset")?;
    at(area, offset, "node name")?.c_str("node name")
}

fn property(area: &WorkArea) -> Result<Step<'_>, Short> {
    let name = name(area)?;
    let length = cell(area, PROPERTY_LENGTH, "property length")?;
    let offset = cell(area, PROPERTY_LENGTH + 4, "property offset")?;
    let mut reader = at(area, offset, "property value")?;
    let held = length.min(reader.left());
    Ok(Step::Property { name, value: reader.take(held, "property value")?, cut: length - held })
}

#[cfg(test)]
mod tests {
    use super::{DrcIndex, Status, Step, WORK_AREA, WorkArea, step};
    use proptest::prelude::{any, proptest};

    fn area(name: &[u8], value: &[u8]) -> WorkArea {
        let mut area = WorkArea::new(DrcIndex(0x1000_0001));
        let value_at = 20 + name.len() + 1;
        for (offset, cell) in [(8, 20), (12, value.len()), (16, value_at)] {
            area.0[offset..offset + 4].copy_from_slice(&u32::try_from(cell).expect("small").to_be_bytes());
        }
        area.0[20..20 + name.len()].copy_from_slice(name);
        area.0[value_at..value_at + value.len()].copy_from_slice(value);
        area
    }

    #[test]
    fn the_index_is_asked_for_in_the_first_cell() {
        assert_eq!(&WorkArea::new(DrcIndex(0x8000_0004)).0[..8], &[0x80, 0, 0, 4, 0, 0, 0, 0]);
    }

    #[test]
    fn a_property_is_read_where_its_offsets_say() {
        let area = area(b"reg", &[1, 2, 3]);
        let expected = Step::Property { name: b"reg", value: &[1, 2, 3], cut: 0 };
        assert_eq!(step(Status(3), &area), Ok(expected));
        assert_eq!(step(Status(2), &area), Ok(Step::Child(b"reg")));
        assert_eq!(step(Status(-2), &area), Ok(Step::Again(1)));
        assert_eq!(step(Status(-9003), &area), Ok(Step::Failed(Status::NOT_CONFIGURABLE)));
    }

    #[test]
    fn a_value_longer_than_the_area_is_cut_and_says_so() {
        let mut area = area(b"reg", &[]);
        area.0[12..16].copy_from_slice(&5000_u32.to_be_bytes());
        let Ok(Step::Property { value, cut, .. }) = step(Status(3), &area) else { panic!("a property") };
        assert_eq!(value.len() + cut, 5000);
        assert_eq!(value.len(), WORK_AREA - 24);
    }

    proptest! {
        #[test]
        fn no_area_makes_it_panic(status in -5..6_i32, cells in any::<[u32; 5]>(), fill in any::<u8>()) {
            let mut area = WorkArea([fill; WORK_AREA]);
            for (at, cell) in cells.iter().enumerate() {
                area.0[4 * at..4 * at + 4].copy_from_slice(&cell.to_be_bytes());
            }
            let _ = step(Status(status), &area);
        }
    }
}

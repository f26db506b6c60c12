//! Bytes that are no tree, one wrong token at a time.

use crate::openfirmware::client::NAME_MAX;
use crate::openfirmware::flatten::MAX_DEPTH;
use crate::openfirmware::tree::Tree;

const STRINGS: &[u8] = b"name\0\xff\xfe\0cut";

/// A tree with this structure block.
fn with(structure: &[u32], strings: &[u8]) -> Vec<u8> {
    let size = 4 * structure.len() as u32;
    let total = 56 + size + strings.len() as u32;
    let header = [0xd00d_feed, total, 56, 56 + size, 40, 17, 16, 0, strings.len() as u32, size, 0, 0, 0, 0];
    let cells = header.iter().chain(structure).flat_map(|cell: &u32| cell.to_be_bytes());
    cells.chain(strings.iter().copied()).collect()
}

fn what(structure: &[u32]) -> &'static str {
    Tree::new(&with(structure, STRINGS)).err().map_or("", |malformed| malformed.what)
}

/// `ab` and its NULs as a cell.
const AB: u32 = 0x6162_0000;

#[test]
fn each_wrong_token_is_named() {
    assert_eq!(what(&[1, 0, 3, 0, 0, 1, AB, 2, 2, 9]), "");
    for (structure, wrong) in [
        (&[][..], "the structure is cut short"),
        (&[9], "it ends within a node"),
        (&[2], "a node ends that did not start"),
        (&[3, 0, 0], "a property is not before the children of a node"),
        (&[1, AB, 2, 9], "the root alone has no name"),
        (&[1, 0, 1, 0, 2, 2, 9], "the root alone has no name"),
        (&[1, 0, 2, 1, 0, 2, 9], "there is a second root"),
        (&[1, 0, 2, 2, 9], "a node ends that did not start"),
        (&[1, 0, 2, 3, 0, 0, 9], "a property is not before the children of a node"),
        (&[1, 0, 1, AB, 2, 3, 0, 0, 2, 9], "a property is not before the children of a node"),
        (&[1, 0, 9], "it ends within a node"),
        (&[1, 0, 2, 9, 0], "it goes on after its end"),
        (&[1, 0, 4, 2, 9], "an unknown token"),
        (&[1, 0, 5, 2, 9], "an unknown token"),
        (&[1, 0, 1, 0x6162_6364], "the structure is cut short"),
        (&[1, 0, 1, 0x61ff_0000, 2, 2, 9], "the name of a node is not text"),
        (&[1, 0, 3, 0], "the structure is cut short"),
        (&[1, 0, 3, 5, 0, 0, 2, 9], "it ends within a node"),
        (&[1, 0, 3, u32::MAX, 0, 2, 9], "the structure is cut short"),
        (&[1, 0, 3, 13, 0, 2, 9, 9], "the structure is cut short"),
        (&[1, 0, 3, 0, 5, 2, 9], "the name of a property is not there, too long or not text"),
        (&[1, 0, 3, 0, 8, 2, 9], "the name of a property is not there, too long or not text"),
        (&[1, 0, 3, 0, 11, 2, 9], "the name of a property is not there, too long or not text"),
        (&[1, 0, 3, 0, u32::MAX, 2, 9], "the name of a property is not there, too long or not text"),
    ] {
        assert_eq!(what(structure), wrong, "{structure:?}");
    }
}

#[test]
fn the_place_of_what_is_wrong_is_told() {
    let malformed = Tree::new(&with(&[1, 0, 4, 2, 9], STRINGS)).expect_err("a NOP");
    assert_eq!(malformed.to_string(), "at byte 68 of the tree: an unknown token");
}

#[test]
fn nodes_nest_up_to_the_bound() {
    for (depth, good) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false)] {
        let mut structure = vec![1, 0];
        (1..depth).for_each(|_| structure.extend([1, AB]));
        structure.extend(vec![2; depth]);
        structure.push(9);
        let bytes = with(&structure, STRINGS);
        let tree = Tree::new(&bytes);
        assert_eq!(tree.is_ok(), good);
        assert!(tree.map_or(0, |tree| tree.nodes().len()) == if good { depth } else { 0 });
    }
}

#[test]
fn names_of_properties_are_as_long_as_the_client_interface_takes_them() {
    for (len, good) in [(NAME_MAX - 1, true), (NAME_MAX, false)] {
        let strings = [&vec![b'x'; len][..], b"\0"].concat();
        assert_eq!(Tree::new(&with(&[1, 0, 3, 0, 0, 2, 9], &strings)).is_ok(), good, "{len}");
    }
}

#[test]
fn a_header_that_lies_is_malformed() {
    let good = with(&[1, 0, 2, 9], STRINGS);
    assert!(Tree::new(&good).is_ok());
    for (field, values) in [
        (0, &[0, 1][..]),
        (1, &[0, 39, u32::MAX]),
        (2, &[0, 57, 40, u32::MAX]),
        (3, &[u32::MAX, 1 << 20]),
        (5, &[0, 16]),
        (6, &[18, u32::MAX]),
        (8, &[u32::MAX, 1 << 20]),
        (9, &[0, 4, 12, 20, u32::MAX]),
    ] {
        for value in values {
            let mut bytes = good.clone();
            bytes[4 * field..4 * field + 4].copy_from_slice(&value.to_be_bytes());
            assert!(Tree::new(&bytes).is_err(), "field {field} is {value}");
        }
    }
}

#[test]
fn an_alias_that_names_itself_is_followed_by_nobody() {
    // A property `/chosen` of `/aliases` with the value `/chosen`, where there is no such node.
    let strings = b"/chosen\0";
    let structure = [1, 0, 1, 0x616c_6961, 0x7365_7300, 3, 8, 0, 0x2f63_686f, 0x7365_6e00, 2, 2, 9];
    let bytes = with(&structure, strings);
    assert_eq!(Tree::new(&bytes).expect("a tree").bootargs(), None);
}

//! Flattening against the fake firmware: what is served comes out, and what never ends is ended.

use super::{Cause, FlatTree, FlattenError, MAX_DEPTH, MAX_NODES, MAX_PROPERTIES, flatten};
use crate::machine::ServiceError;
use crate::openfirmware::captured::{TREES, tree};
use crate::openfirmware::client::{ClientError, NAME_MAX};
use crate::openfirmware::fake::{Dialect, FakeNode, Firmware};
use crate::openfirmware::tree::Tree;

const ROOM: usize = 1 << 20;

/// The path of a node, and its properties in order.
type Content<'t> = (String, Vec<(&'t str, &'t [u8])>);

/// Every node with its properties, in order.
fn contents(bytes: &[u8]) -> Vec<Content<'_>> {
    let nodes = Tree::new(bytes).expect("a tree");
    let nodes = nodes.nodes().into_iter().map(|node| {
        let properties = node.properties().map(|property| (property.name, property.value));
        (node.path().to_string(), properties.collect())
    });
    nodes.collect()
}

fn firmware(dialect: Dialect) -> Firmware {
    Firmware::new(dialect, tree("qemu-7.2-vof-before-cas"))
}

#[test]
fn a_tree_that_was_given_is_taken_as_it_is_and_cut_behind_its_end() {
    for (name, bytes) in TREES {
        let longer = [*bytes, &[7; 9][..]].concat();
        let flat = FlatTree::given(&longer).expect(name);
        assert_eq!((flat.bytes().len(), contents(flat.bytes())), (bytes.len(), contents(bytes)), "{name}");
        assert_eq!(flat.nodes as usize, contents(bytes).len(), "{name}");
    }
    assert!(FlatTree::given(&[0; 64]).is_err());
}

#[test]
fn what_is_served_comes_out_in_each_dialect() {
    for (name, bytes) in TREES {
        for dialect in Dialect::ALL {
            let flat = flatten(&mut Firmware::new(dialect, bytes), ROOM).expect(name);
            assert_eq!(contents(flat.bytes()), contents(bytes), "{name} {dialect:?}");
            assert_eq!(flat.problems, [], "{name} {dialect:?}");
            let contents = contents(bytes);
            assert_eq!(flat.nodes as usize, contents.len(), "{name}");
            let properties: usize = contents.iter().map(|(_, properties)| properties.len()).sum();
            assert_eq!(flat.properties as usize, properties, "{name}");
        }
    }
}

#[test]
fn what_the_guest_flattened_once_comes_out_to_the_byte() {
    let bytes = tree("qemu-7.2-slof-after-cas");
    let flat = flatten(&mut Firmware::new(Dialect::Slof, bytes), ROOM).expect("a tree");
    assert!(flat.bytes() == bytes);
}

#[test]
fn a_node_without_a_handle_gets_the_one_that_the_firmware_knows() {
    let mut firmware = firmware(Dialect::Slof);
    firmware.node("/chosen").properties.retain(|(name, _)| name != b"phandle");
    let handle = firmware.find("/chosen");
    let flat = flatten(&mut firmware, ROOM).expect("a tree");
    let tree = flat.tree().expect("a tree");
    let nodes = tree.nodes();
    let chosen = nodes.iter().find(|node| node.path() == "/chosen").expect("/chosen");
    assert_eq!(chosen.value("phandle"), Some(&handle.to_be_bytes()[..]));
}

#[test]
fn a_limit_is_kept_and_the_place_is_named() {
    let whole = flatten(&mut firmware(Dialect::Vof), ROOM).expect("a tree").bytes().len();
    assert!(flatten(&mut firmware(Dialect::Vof), whole).is_ok());
    for limit in (0..whole).step_by(97).chain([whole - 1]) {
        let error = flatten(&mut firmware(Dialect::Vof), limit).expect_err("too large");
        assert!(
            matches!(error.cause, Cause::TooLarge { size, limit: at } if size > limit && at == limit),
            "{error}"
        );
        assert!(error.size <= limit && error.path.starts_with('/'), "{error}");
    }
}

#[test]
fn a_value_that_is_larger_than_the_limit_is_not_read() {
    let mut firmware = firmware(Dialect::Vof);
    firmware.node("/chosen").properties.push((b"huge".to_vec(), vec![7; 2 * ROOM]));
    let error = flatten(&mut firmware, ROOM).expect_err("too large");
    assert!(matches!(error.cause, Cause::TooLarge { .. }));
    assert_eq!((&*error.path, error.property.as_deref()), ("/chosen", Some("huge")));
}

#[test]
fn a_long_value_is_read_in_full() {
    let mut firmware = firmware(Dialect::Slof);
    let long: Vec<u8> = (0..100_000_u32).map(|at| at as u8).collect();
    firmware.node("/chosen").properties.push((b"long".to_vec(), long.clone()));
    let flat = flatten(&mut firmware, ROOM).expect("a tree");
    let contents = contents(flat.bytes());
    let chosen = &contents.iter().find(|(path, _)| path == "/chosen").expect("/chosen").1;
    assert!(chosen.contains(&("long", &long[..])));
}

fn cause(firmware: &mut Firmware) -> FlattenError {
    flatten(firmware, ROOM * 16).expect_err("no tree")
}

#[test]
fn a_firmware_without_a_tree_has_no_root() {
    for dialect in Dialect::ALL {
        let mut firmware = firmware(dialect);
        firmware.root = 0;
        assert_eq!(cause(&mut firmware).cause, Cause::NoRoot);
    }
}

#[test]
fn a_node_that_is_its_own_child_is_too_deep() {
    let mut firmware = firmware(Dialect::Vof);
    let chosen = firmware.find("/chosen");
    firmware.node("/chosen").child = chosen;
    let error = cause(&mut firmware);
    assert_eq!(error.cause, Cause::TooDeep);
    assert_eq!(error.path, "/chosen".repeat(MAX_DEPTH - 1));
}

#[test]
fn a_node_that_is_its_own_sibling_is_too_many() {
    let mut firmware = firmware(Dialect::Vof);
    let chosen = firmware.find("/chosen");
    let node = firmware.node("/chosen");
    (node.peer, node.child) = (chosen, 0);
    node.properties.clear();
    let error = cause(&mut firmware);
    assert_eq!((error.cause, error.nodes), (Cause::TooManyNodes, MAX_NODES));
}

#[test]
fn a_root_has_no_sibling_whatever_the_firmware_says() {
    let mut firmware = firmware(Dialect::Vof);
    let (root, chosen) = (firmware.root, firmware.find("/chosen"));
    firmware.nodes.get_mut(&root).expect("the root").peer = chosen;
    let flat = flatten(&mut firmware, ROOM).expect("a tree");
    assert_eq!(contents(flat.bytes()), contents(tree("qemu-7.2-vof-before-cas")));
}

#[test]
fn a_node_whose_child_is_the_root_is_ended() {
    let mut firmware = firmware(Dialect::Slof);
    let root = firmware.root;
    firmware.node("/chosen").child = root;
    assert!(matches!(cause(&mut firmware).cause, Cause::TooDeep | Cause::TooManyNodes));
}

#[test]
fn properties_without_end_are_too_many() {
    for dialect in Dialect::ALL {
        let mut firmware = firmware(dialect);
        firmware.node("/chosen").endless = true;
        let error = cause(&mut firmware);
        assert_eq!((error.cause, &*error.path), (Cause::TooManyProperties, "/chosen"));
        assert!(firmware.calls < 2 * MAX_PROPERTIES + 500);
    }
}

#[test]
fn a_name_that_is_too_long_for_its_buffer_is_an_answer_that_cannot_be() {
    let mut firmware = firmware(Dialect::Vof);
    firmware.node("/chosen").properties.push((vec![b'x'; NAME_MAX], vec![]));
    let error = cause(&mut firmware).cause;
    assert!(matches!(error, Cause::Client(ClientError::Answer { service, .. }) if service == c"nextprop"));
    firmware.node("/chosen").properties.pop();
    firmware.node("/chosen").properties.push((vec![b'x'; NAME_MAX - 1], vec![]));
    let flat = flatten(&mut firmware, ROOM).expect("a tree");
    assert!(flat.tree().is_ok());
}

#[test]
fn a_path_that_vof_cannot_print_is_a_problem_and_slof_prints_it() {
    for (dialect, problems) in [(Dialect::Vof, 1), (Dialect::Slof, 0)] {
        let mut firmware = firmware(dialect);
        firmware.node("/chosen").name = vec![b'n'; 300];
        let flat = flatten(&mut firmware, ROOM).expect("a tree");
        assert_eq!(flat.problems.len(), problems, "{dialect:?}");
        assert!(flat.tree().is_ok());
    }
}

#[test]
fn a_path_that_fills_its_buffer_ends_the_walk() {
    let mut firmware = firmware(Dialect::Slof);
    firmware.node("/chosen").name = vec![b'n'; 600];
    let error = cause(&mut firmware).cause;
    assert!(
        matches!(error, Cause::Client(ClientError::Answer { service, .. }) if service == c"package-to-path")
    );
}

#[test]
fn names_that_are_not_text_are_kept_as_far_as_they_are() {
    let mut firmware = firmware(Dialect::Slof);
    let node = firmware.node("/chosen");
    node.name = b"cho\xff\xfesen".to_vec();
    node.properties.push((b"odd\xff".to_vec(), b"value".to_vec()));
    let flat = flatten(&mut firmware, ROOM).expect("a tree");
    assert_eq!(flat.problems.len(), 2, "{:?}", flat.problems);
    let contents = contents(flat.bytes());
    let (_, odd) = contents.iter().find(|(path, _)| path.starts_with("/cho")).expect("the node");
    assert!(odd.contains(&("odd\u{fffd}", &b"value"[..])));
}

#[test]
fn a_node_without_a_name_gets_one() {
    let mut firmware = firmware(Dialect::Slof);
    firmware.node("/chosen").name.clear();
    let flat = flatten(&mut firmware, ROOM).expect("a tree");
    assert_eq!(flat.problems.len(), 1);
    let tree = flat.tree().expect("a tree that can be read");
    assert!(tree.nodes().iter().any(|node| node.path().starts_with("/unnamed-")));
}

#[test]
fn a_tree_is_deep_up_to_the_bound() {
    let mut firmware = firmware(Dialect::Slof);
    let deep = |parent, child| FakeNode {
        name: b"n".to_vec(),
        properties: Vec::new(),
        parent,
        child,
        peer: 0,
        endless: false,
    };
    let chosen = firmware.find("/chosen");
    // The root and /chosen are two levels.
    let levels = MAX_DEPTH as u32 - 2;
    for level in 0..levels {
        let parent = if level == 0 { chosen } else { level };
        let child = if level + 1 < levels { level + 2 } else { 0 };
        firmware.nodes.insert(level + 1, deep(parent, child));
    }
    firmware.node("/chosen").child = 1;
    let flat = flatten(&mut firmware, ROOM).expect("as deep as it may be");
    assert_eq!(flat.tree().map(|tree| tree.nodes().len()), Ok(flat.nodes as usize));
    firmware.nodes.get_mut(&levels).expect("the last").child = levels + 1;
    firmware.nodes.insert(levels + 1, deep(levels, 0));
    assert_eq!(cause(&mut firmware).cause, Cause::TooDeep);
}

#[test]
fn a_firmware_that_fails_at_any_call_is_an_error_with_its_place() {
    let mut whole = firmware(Dialect::Vof);
    flatten(&mut whole, ROOM).expect("a tree");
    for call in 0..whole.calls {
        let mut firmware = firmware(Dialect::Vof);
        firmware.failure = Some((call, ServiceError::Missing));
        let error = cause(&mut firmware);
        assert_eq!(error.cause, Cause::Client(ClientError::Service(ServiceError::Missing)));
        assert_eq!(firmware.calls, call + 1);
    }
}

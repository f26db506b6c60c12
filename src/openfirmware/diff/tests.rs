//! Differences between captured trees, and between a tree and itself under other handles.

use super::{NodeDiff, diff};
use crate::log::Change;
use crate::openfirmware::captured::{TREES, tree};
use crate::openfirmware::client;
use crate::openfirmware::fake::{Dialect, Firmware};
use crate::openfirmware::flatten::{FlatTree, flatten};
use crate::openfirmware::tree::Tree;

fn between(before: &str, after: &str) -> Vec<NodeDiff> {
    let [before, after] = [before, after].map(|name| Tree::new(tree(name)).expect(name));
    diff(&before, &after)
}

#[test]
fn a_tree_does_not_differ_from_itself() {
    for (name, _) in TREES {
        assert_eq!(between(name, name), [], "{name}");
    }
}

#[test]
fn what_cas_did_is_what_was_negotiated() {
    for qemu in ["qemu-7.2", "qemu-10.0", "qemu-11.1"] {
        for firmware in ["vof", "slof"] {
            let name = format!("{qemu}-{firmware}");
            let differences = between(&format!("{name}-before-cas"), &format!("{name}-after-cas"));
            let nodes: Vec<_> = differences.iter().map(|node| (&*node.node, node.change)).collect();
            let dynamic = ("/ibm,dynamic-reconfiguration-memory", Change::Came);
            let (chosen, core) = (("/chosen", Change::Changed), ("/cpus/PowerPC,POWER9@0", Change::Changed));
            assert_eq!(nodes, [chosen, core, dynamic], "{name}: {differences:#?}");
            assert!(differences[0].changed.contains(&"ibm,architecture-vec-5".to_string()), "{name}");
            assert!(differences[2].came.contains(&"ibm,dynamic-memory-v2".to_string()), "{name}");
            assert!(differences.iter().all(|node| node.went.is_empty()), "{name}");
        }
    }
}

#[test]
fn the_way_back_is_the_mirror_image() {
    let there = between("qemu-7.2-vof-before-cas", "qemu-7.2-vof-after-cas");
    let back = between("qemu-7.2-vof-after-cas", "qemu-7.2-vof-before-cas");
    let mirrored = back.into_iter().map(|node| NodeDiff {
        change: match node.change {
            Change::Came => Change::Went,
            Change::Went => Change::Came,
            Change::Changed => Change::Changed,
        },
        came: node.went,
        went: node.came,
        ..node
    });
    assert!(mirrored.eq(there));
}

/// A property's value.
fn value<'t>(tree: &Tree<'t>, path: &str, property: &str) -> &'t [u8] {
    let nodes = tree.nodes();
    let node = nodes.iter().find(|node| node.path() == path).expect(path);
    node.value(property).expect(property)
}

#[test]
fn an_interrupt_map_that_leads_to_the_same_controller_is_no_difference() {
    const PHB: &str = "/pci@800000020000000";
    let [before, after] = ["before", "after"]
        .map(|when| Tree::new(tree(&format!("qemu-7.2-slof-{when}-cas"))).expect("a tree"));
    assert_ne!(value(&before, PHB, "interrupt-map"), value(&after, PHB, "interrupt-map"));
    assert!(diff(&before, &after).iter().all(|node| node.node != PHB));
    // The same machine under the other firmware has its own handle for the same controller.
    let other = Tree::new(tree("qemu-7.2-vof-before-cas")).expect("a tree");
    let to_other = diff(&before, &other);
    assert!(to_other.iter().all(|node| node.node != PHB || !node.changed.contains(&"interrupt-map".into())));
}

/// The tree of a firmware in which `/vdevice` has this node for its interrupt parent, and the one of after CAS.
fn pointing_at(path: &str) -> [FlatTree; 2] {
    let mut firmware = Firmware::new(Dialect::Vof, tree("qemu-7.2-vof-before-cas"));
    let handle = firmware.find(path).to_be_bytes().to_vec();
    firmware.node("/vdevice").properties.push((b"interrupt-parent".to_vec(), handle));
    let before = flatten(&mut firmware, 1 << 20).expect("a tree");
    firmware.after_cas = Some(before.bytes().to_vec());
    let root = client::open(&mut firmware, c"/").expect("served").expect("opened");
    client::client_architecture_support(&mut firmware, root, crate::machine::Arg::In(&[])).expect("served");
    [before, flatten(&mut firmware, 1 << 20).expect("a tree")]
}

#[test]
fn a_property_is_compared_by_where_it_points() {
    let [before, after] = pointing_at("/chosen");
    let [before, after] = [&before, &after].map(|flat| flat.tree().expect("a tree"));
    let pointer = |tree| value(tree, "/vdevice", "interrupt-parent");
    assert_ne!(pointer(&before), pointer(&after));
    assert_eq!(diff(&before, &after), []);
    let [other, _] = pointing_at("/rtas");
    let differences = diff(&before, &other.tree().expect("a tree"));
    let changed: Vec<_> = differences.iter().map(|node| (&*node.node, &*node.changed)).collect();
    assert_eq!(changed, [("/vdevice", &["interrupt-parent".to_string()][..])]);
}

#[test]
fn two_nodes_of_one_path_are_compared_in_their_order() {
    let name = "qemu-7.2-slof-before-cas";
    let mut firmware = Firmware::new(Dialect::Slof, tree(name));
    firmware.node("/options").name = b"aliases".to_vec();
    let twice = flatten(&mut firmware, 1 << 20).expect("a tree");
    let twice = twice.tree().expect("a tree");
    assert_eq!(diff(&twice, &twice), []);
    let differences = diff(&Tree::new(tree(name)).expect(name), &twice);
    let nodes: Vec<_> = differences.iter().map(|node| (&*node.node, node.change)).collect();
    assert!(
        nodes.contains(&("/aliases", Change::Came)) && nodes.contains(&("/options", Change::Went)),
        "{nodes:?}"
    );
}

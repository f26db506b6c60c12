//! Every captured tree: what it says, and what is left of it when it is damaged.

use crate::openfirmware::Problem;
use crate::openfirmware::captured::{TREES, tree};
use crate::openfirmware::diff::diff;
use crate::openfirmware::tree::{LmbFlags, LmbRun, Tree};
use crate::openfirmware::writer::Writer;
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::rtas::Call;
use proptest::prelude::{any, prop, proptest};

const MIB: u64 = 1 << 20;

/// Looks at the tree through every view.
fn read_all(tree: &Tree<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    tree.cores(&mut problems);
    tree.memory(&mut problems);
    tree.event_sources(&mut problems);
    tree.connectors(&mut problems);
    tree.dynamic_memory(&mut problems);
    problems.extend(tree.rtas_size().err());
    tree.bootargs();
    tree.architecture_vec_5();
    tree.platform_support();
    tree.interrupt_controller();
    for call in Call::ALL {
        tree.rtas_token(*call);
    }
    problems
}

fn each(check: impl Fn(&str, &Tree<'_>)) {
    for (name, bytes) in TREES {
        check(name, &Tree::new(bytes).expect(name));
    }
}

#[test]
fn every_tree_is_read_without_a_problem() {
    each(|name, tree| assert_eq!(read_all(tree), [], "{name}"));
}

#[test]
fn every_tree_has_its_core_and_its_memory() {
    each(|name, tree| {
        let mut problems = Vec::new();
        let cores = tree.cores(&mut problems);
        assert_eq!(cores.len(), 1, "{name}");
        assert_eq!(cores[0].node, "/cpus/PowerPC,POWER9@0", "{name}");
        assert_eq!((cores[0].drc, &cores[0].servers[..]), (Some(DrcIndex(0x1000_0000)), &[0][..]), "{name}");
        let memory = tree.memory(&mut problems);
        assert_eq!(memory[0].node, "/memory@0", "{name}");
        assert_eq!((memory[0].range.base, memory[0].range.size), (0, 512 * MIB), "{name}");
        assert_eq!(memory.len(), 1, "{name}");
    });
}

#[test]
fn every_tree_has_its_two_event_sources() {
    each(|name, tree| {
        let mut sources = tree.event_sources(&mut Vec::new());
        sources.sort_by_key(|source| source.irq);
        let seen: Vec<_> = sources.iter().map(|source| (&*source.name, source.irq, source.level)).collect();
        assert_eq!(seen, [("epow-events", 0x1000, false), ("hot-plug-events", 0x1001, false)], "{name}");
    });
}

#[test]
fn every_tree_lists_all_its_connectors() {
    each(|name, tree| {
        let connectors = tree.connectors(&mut Vec::new());
        let count = |kind| connectors.iter().filter(|connector| connector.kind == kind).count();
        // (4 GiB - 512 MiB) / 256 MiB blocks, 4 slots, 4 cores; 31 host bridges, one of which is there.
        let kinds = [DrcKind::LMB, DrcKind::PMEM, DrcKind::CPU, DrcKind::PHB, DrcKind::PCI];
        assert_eq!(kinds.map(count), [14, 4, 4, 31, 256], "{name}");
        assert!(connectors.iter().all(|connector| connector.kind == connector.index.kind()), "{name}");
        assert!(connectors.iter().all(|connector| connector.power_domain == -1), "{name}");
        let of = |index| connectors.iter().find(|connector| connector.index == DrcIndex(index)).expect(name);
        assert_eq!((&*of(0x8000_0004).name, &*of(0x8000_0004).owner), ("LMB 4", "/"), "{name}");
        assert_eq!((&*of(0x1000_0003).name, &*of(0x1000_0003).owner), ("CPU 3", "/cpus"), "{name}");
        assert_eq!(of(0x4000_0008).owner, "/pci@800000020000000", "{name}");
    });
}

#[test]
fn every_tree_has_rtas() {
    each(|name, tree| {
        for call in Call::ALL {
            assert!(tree.rtas_token(*call).is_some_and(|token| token >= 0x2000), "{name} {}", call.name());
        }
        assert!((20..=4096).contains(&tree.rtas_size().expect(name)), "{name}");
    });
}

#[test]
fn what_was_negotiated_stands_in_the_trees_after_cas() {
    each(|name, tree| {
        let granted = tree.architecture_vec_5().expect(name);
        assert_eq!(granted.len() > 2, name.contains("after"), "{name}");
        assert_eq!(tree.platform_support().map(<[u8]>::len), Some(8), "{name}");
        let controller = tree.interrupt_controller();
        assert_eq!(controller, Some("IBM,ppc-xicp"), "{name}");
        assert!(tree.bootargs().is_some_and(|text| text.starts_with("hold=")), "{name}");
    });
}

fn runs_of(name: &str) -> Vec<LmbRun> {
    let tree = Tree::new(tree(name)).expect(name);
    let dynamic = tree.dynamic_memory(&mut Vec::new()).expect(name);
    assert_eq!(dynamic.lmb_size, 256 * MIB, "{name}");
    dynamic.runs
}

#[test]
fn the_blocks_are_those_of_the_machine() {
    const BARE: LmbFlags = LmbFlags::RESERVED.union(LmbFlags::DRC_INVALID);
    let run = |count, base, first, associativity, flags| LmbRun {
        count,
        base: base * MIB,
        first: DrcIndex(first),
        associativity,
        flags,
    };
    for (name, _) in TREES.iter().filter(|(name, _)| name.ends_with("after-cas")) {
        let free = run(14, 1024, 0x8000_0004, u32::MAX, LmbFlags::empty());
        assert_eq!(runs_of(name), [run(4, 0, 0, u32::MAX, BARE), free], "{name}");
    }
    for (name, _) in TREES.iter().filter(|(name, _)| name.ends_with("v1")) {
        let dimm = run(2, 1024, 0x8000_0004, 0, LmbFlags::ASSIGNED);
        let free = run(12, 1536, 0x8000_0006, u32::MAX, LmbFlags::empty());
        assert_eq!(runs_of(name), [run(4, 0, 0, u32::MAX, BARE), dimm, free], "{name}");
    }
    each(|name, tree| {
        assert_eq!(tree.dynamic_memory(&mut Vec::new()).is_some(), name.contains("after"), "{name}");
    });
}

#[test]
fn a_tree_cut_at_any_byte_is_malformed() {
    for (name, bytes) in TREES {
        for len in 0..bytes.len() {
            assert!(Tree::new(&bytes[..len]).is_err(), "{name} cut to {len}");
            // Also where the header does not tell of what is missing.
            let mut cut = bytes[..len].to_vec();
            if len >= 8 {
                cut[4..8].copy_from_slice(&(len as u32).to_be_bytes());
                assert!(Tree::new(&cut).is_err(), "{name} made {len} long");
            }
        }
    }
}

#[test]
fn what_follows_a_tree_is_ignored() {
    let mut longer = TREES[0].1.to_vec();
    longer.extend([0xff; 100]);
    assert_eq!(read_all(&Tree::new(&longer).expect("a tree")), []);
}

/// The tree once more, with each value passed through `alter`.
fn rewrite(tree: &Tree<'_>, mut alter: impl FnMut(&str, &str, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut writer = Writer::new(1 << 20).expect("room");
    let mut depth = 0;
    for node in tree.nodes() {
        let parts = if node.path() == "/" { 0 } else { node.path().matches('/').count() };
        for _ in parts..depth {
            writer.end_node().expect("room");
        }
        depth = parts + 1;
        writer.begin_node(node.path().rsplit('/').next().expect("a name")).expect("room");
        for property in node.properties() {
            let value = alter(node.path(), property.name, property.value);
            writer.property(property.name, &value).expect("room");
        }
    }
    for _ in 0..depth {
        writer.end_node().expect("room");
    }
    writer.finish().expect("room")
}

#[test]
fn a_tree_written_again_says_the_same() {
    each(|name, tree| {
        let again = rewrite(tree, |_, _, value| value.to_vec());
        assert_eq!(diff(tree, &Tree::new(&again).expect(name)), [], "{name}");
    });
}

#[test]
fn a_value_cut_anywhere_makes_no_view_panic() {
    let tree = Tree::new(tree("qemu-7.2-vof-after-cas-v1")).expect("a tree");
    // Long lists are cut at their first bytes: what is wrong further on is the same.
    for len in 0..128 {
        let cut = rewrite(&tree, |_, _, value| value.get(..len).unwrap_or(value).to_vec());
        let problems = read_all(&Tree::new(&cut).expect("a tree"));
        assert!(problems.iter().any(|problem| problem.property == "ibm,drc-indexes"), "{len}");
        assert!(problems.len() < 40, "{len}: {problems:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_changed_make_no_view_panic(
        which in 0..TREES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = TREES[which].1.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
        }
        if let Ok(tree) = Tree::new(&bytes) {
            read_all(&tree);
            diff(&tree, &Tree::new(TREES[which].1).expect("a tree"));
        }
    }

    #[test]
    fn any_cells_changed_in_the_values_make_no_view_panic(
        which in 0..TREES.len(),
        seeds in prop::collection::vec(any::<u64>(), 16),
    ) {
        // Changes only values, so that the tree is always read.
        let tree = Tree::new(TREES[which].1).expect("a tree");
        let mut turn = 0;
        let changed = rewrite(&tree, |_, _, value| {
            let mut value = value.to_vec();
            turn += 1;
            let seed = seeds[turn % seeds.len()];
            let at = (seed >> 32) as usize % (value.len() / 4 + 1) * 4;
            if let Some(cell) = value.get_mut(at..at + 4).filter(|_| seed % 3 == 0) {
                cell.copy_from_slice(&(seed as u32).to_be_bytes());
            }
            value
        });
        let changed = Tree::new(&changed).expect("a tree");
        read_all(&changed);
        diff(&tree, &changed);
    }
}

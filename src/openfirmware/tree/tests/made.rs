//! Trees made by hand, each wrong in one place: what is said of it, and what is still handed out.

use crate::openfirmware::Problem;
use crate::openfirmware::tree::{LmbFlags, LmbRun, MAX_LMBS, Tree};
use crate::openfirmware::writer::Writer;
use crate::papr::drc::{DrcIndex, DrcKind};

/// The nodes below the root, each with its properties; `/` alone stands for the root itself.
type Nodes<'n> = &'n [(&'n str, &'n [(&'n str, &'n [u8])])];

/// A tree with these nodes, one below the other where a name starts with a slash.
fn made(nodes: Nodes<'_>) -> Vec<u8> {
    let mut writer = Writer::new(1 << 24).expect("room");
    writer.begin_node("").expect("room");
    let mut depth = 0;
    for (name, properties) in nodes {
        let below = name.strip_prefix('/').filter(|name| !name.is_empty());
        if below.is_none() && *name != "/" {
            (0..depth).for_each(|_| writer.end_node().expect("room"));
            depth = 0;
        }
        if *name != "/" {
            writer.begin_node(below.unwrap_or(name)).expect("room");
            depth += 1;
        }
        for (name, value) in *properties {
            writer.property(name, value).expect("room");
        }
    }
    (0..=depth).for_each(|_| writer.end_node().expect("room"));
    writer.finish().expect("room")
}

fn cells(cells: &[u32]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
}

/// What a view gives, and the places of the problems that it has.
fn view<T>(nodes: Nodes<'_>, view: impl FnOnce(&Tree<'_>, &mut Vec<Problem>) -> T) -> (T, Vec<String>) {
    let bytes = made(nodes);
    let mut problems = Vec::new();
    let seen = view(&Tree::new(&bytes).expect("a tree"), &mut problems);
    (seen, problems.iter().map(|problem| format!("{}:{}", problem.node, problem.property)).collect())
}

#[test]
fn an_empty_tree_is_nothing_but_problems() {
    let bytes = made(&[]);
    let tree = Tree::new(&bytes).expect("a tree");
    let mut problems = Vec::new();
    assert_eq!(tree.cores(&mut problems), []);
    assert_eq!(tree.memory(&mut problems), []);
    assert_eq!(tree.event_sources(&mut problems), []);
    assert_eq!(tree.connectors(&mut problems), []);
    assert_eq!(tree.dynamic_memory(&mut problems), None);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert_eq!(
        tree.rtas_size().map_err(|problem| problem.to_string()).unwrap_err(),
        "/rtas:rtas-size: there is no such property"
    );
    assert_eq!((tree.bootargs(), tree.interrupt_controller()), (None, None));
}

#[test]
fn a_tree_that_another_writer_made_is_read() -> Result<(), vm_fdt::Error> {
    let mut writer = vm_fdt::FdtWriter::new()?;
    let root = writer.begin_node("")?;
    let chosen = writer.begin_node("chosen")?;
    writer.property_string("bootargs", "a=b")?;
    writer.end_node(chosen)?;
    let rtas = writer.begin_node("rtas")?;
    writer.property_u32("rtas-size", 0x800)?;
    writer.end_node(rtas)?;
    writer.end_node(root)?;
    let bytes = writer.finish()?;
    let tree = Tree::new(&bytes).expect("a tree");
    assert_eq!((tree.bootargs(), tree.rtas_size()), (Some("a=b"), Ok(0x800)));
    Ok(())
}

#[test]
fn a_size_of_rtas_is_one_cell_and_not_nothing() {
    for (value, good) in [(&[0, 0, 8, 0][..], true), (&[0; 4], false), (&[1, 2, 3], false), (&[0; 8], false)]
    {
        let (size, _) = view(&[("rtas", &[("rtas-size", value)])], |tree, _| tree.rtas_size());
        assert_eq!(size.is_ok(), good, "{value:?}");
    }
}

#[test]
fn bootargs_are_the_text_before_the_first_nul() {
    for (value, text) in [
        (&b"a=b c\0"[..], Some("a=b c")),
        (b"open end", Some("open end")),
        (b"one\0two\0", Some("one")),
        (b"\0", Some("")),
        (b"", Some("")),
        (b"\xff\xfe\0", None),
    ] {
        let bytes = made(&[("chosen", &[("bootargs", value)])]);
        assert_eq!(Tree::new(&bytes).expect("a tree").bootargs(), text, "{value:?}");
    }
}

#[test]
fn a_core_without_server_numbers_takes_them_from_reg() {
    let servers = cells(&[8, 9]);
    let cpu: (&str, &[u8]) = ("device_type", b"cpu\0");
    let (cores, problems) = view(
        &[("cpus", &[]), ("/a@8", &[cpu, ("reg", &[0, 0, 0, 8]), ("ibm,ppc-interrupt-server#s", &servers)])],
        |tree, problems| tree.cores(problems),
    );
    assert_eq!((&cores[0].servers[..], cores[0].drc, problems), (&[8, 9][..], None, vec![]));
    let reg: (&str, &[u8]) = ("reg", &[0, 0, 0, 8]);
    for (properties, servers, wrong) in [
        (&[cpu, reg][..], &[8][..], &[][..]),
        (&[cpu][..], &[], &["/cpus/a@8:ibm,ppc-interrupt-server#s"]),
        (&[cpu, ("reg", &[])], &[], &["/cpus/a@8:reg"]),
        (&[cpu, ("reg", &[0, 0, 0, 1, 2])], &[1], &["/cpus/a@8:reg"]),
        (&[cpu, reg, ("ibm,my-drc-index", &[1])], &[8], &["/cpus/a@8:ibm,my-drc-index"]),
        (&[("device_type", b"cache\0"), reg], &[], &["/cpus:"]),
    ] {
        let (cores, problems) =
            view(&[("cpus", &[]), ("/a@8", properties)], |tree, problems| tree.cores(problems));
        assert_eq!(problems, wrong);
        assert_eq!(cores.first().map_or(&[][..], |core| &core.servers), servers);
    }
}

#[test]
fn memory_is_read_in_the_cells_of_the_root() {
    let memory: (&str, &[u8]) = ("device_type", b"memory\0");
    let of = |address: u32, size: u32, reg: &[u32]| {
        let (address, size, reg) = (cells(&[address]), cells(&[size]), cells(reg));
        let root: &[(&str, &[u8])] = &[("#address-cells", &address), ("#size-cells", &size)];
        let (seen, problems) =
            view(&[("/", root), ("memory@0", &[memory, ("reg", &reg)])], |tree, problems| {
                tree.memory(problems)
            });
        let ranges: Vec<_> = seen.iter().map(|node| (node.range.base, node.range.size)).collect();
        (ranges, problems.len())
    };
    assert_eq!(
        of(2, 2, &[1, 2, 3, 4, 5, 6, 7, 8]),
        (vec![(0x1_0000_0002, 0x3_0000_0004), (0x5_0000_0006, 0x7_0000_0008)], 0)
    );
    assert_eq!(of(2, 1, &[1, 2, 3]), (vec![(0x1_0000_0002, 3)], 0));
    assert_eq!(of(1, 1, &[1, 2, 3]), (vec![(1, 2)], 1));
    assert_eq!(of(1, 1, &[1, 0, 4, 5]), (vec![(4, 5)], 1));
    assert_eq!(of(2, 2, &[u32::MAX; 4]), (vec![], 2));
    assert_eq!(of(0, 2, &[1, 2]), (vec![], 1));
    assert_eq!(of(u32::MAX, u32::MAX, &[1, 2]), (vec![], 1));
    // Neither a block that is no pair of cells nor a node of another kind.
    let (seen, problems) = view(&[("memory@0", &[memory])], |tree, problems| tree.memory(problems));
    assert_eq!((seen, problems), (vec![], vec!["/:".to_string()]));
}

#[test]
fn event_sources_come_in_pairs_of_cells() {
    for (value, irqs, problems) in [
        (&cells(&[0x1000, 0])[..], &[(0x1000, false)][..], 0),
        (&cells(&[0x1000, 0, 0x1001, 1]), &[(0x1000, false), (0x1001, true)], 0),
        (&cells(&[0x1000, 0, 0x1001]), &[(0x1000, false)], 1),
        (&cells(&[0x1000, 2]), &[(0x1000, false)], 1),
        (&[], &[], 1),
    ] {
        // The bogus fifth cell of old QEMUs is not looked at.
        let ranges = cells(&[0x1000, 1, 0x1001, 1, 0]);
        let (sources, found) = view(
            &[
                ("event-sources", &[("interrupt-ranges", &ranges)]),
                ("/epow-events", &[("interrupts", value)]),
            ],
            |tree, problems| tree.event_sources(problems),
        );
        let seen: Vec<_> = sources.iter().map(|source| (source.irq, source.level)).collect();
        assert_eq!((&seen[..], found.len()), (irqs, problems));
    }
    let (_, found) =
        view(&[("event-sources", &[]), ("/odd", &[])], |tree, problems| tree.event_sources(problems));
    assert_eq!(found, ["/event-sources/odd:interrupts"]);
}

const NAMES: &[u8] = b"\0\0\0\x02LMB 4\0LMB 5\0";
const TYPES: &[u8] = b"\0\0\0\x02MEM\0MEM\0";

/// The index, the name, the kind and the power domain of a connector.
type Seen = (u32, String, DrcKind, i32);

/// The four lists of two connectors, some of them replaced.
fn connectors(replaced: &[(&str, &[u8])]) -> (Vec<Seen>, Vec<String>) {
    let (indexes, domains) = (cells(&[2, 0x8000_0004, 0x8000_0005]), cells(&[2, u32::MAX, 7]));
    let lists: [(&str, &[u8]); 4] = [
        ("ibm,drc-indexes", &indexes),
        ("ibm,drc-names", NAMES),
        ("ibm,drc-types", TYPES),
        ("ibm,drc-power-domains", &domains),
    ];
    let kept = |(name, value): (&'static str, _)| {
        let other = replaced.iter().find(|(replaced, _)| *replaced == name);
        // Nothing at all stands for a list that is not there.
        Some((name, other.map_or(value, |(_, value)| *value)))
            .filter(|_| other.is_none_or(|(_, value)| !value.is_empty()))
    };
    let lists: Vec<_> = lists.into_iter().filter_map(kept).collect();
    let (seen, problems) = view(&[("/", &lists)], |tree, problems| tree.connectors(problems));
    (seen.into_iter().map(|one| (one.index.0, one.name, one.kind, one.power_domain)).collect(), problems)
}

#[test]
fn connectors_are_read_side_by_side() {
    let (seen, problems) = connectors(&[]);
    assert_eq!(problems, [""; 0]);
    let one = (0x8000_0004, "LMB 4".to_string(), DrcKind::LMB, -1);
    let two = (0x8000_0005, "LMB 5".to_string(), DrcKind::LMB, 7);
    assert_eq!(seen, [one, two]);
}

#[test]
fn what_a_list_of_connectors_lacks_is_filled_in() {
    for list in ["ibm,drc-names", "ibm,drc-types", "ibm,drc-power-domains"] {
        for value in [
            &b""[..],
            b"\0",
            b"\0\0\0\0",
            b"\0\0\0\x01",
            b"\0\0\0\x02",
            b"\xff\xff\xff\xff",
            b"\0\0\0\x02MEM",
        ] {
            let (seen, problems) = connectors(&[(list, value)]);
            assert_eq!(problems, [format!("/:{list}")], "{value:?}");
            assert_eq!(seen.len(), 2);
            assert!(seen.iter().all(|(_, _, kind, _)| *kind == DrcKind::LMB));
            assert!(list != "ibm,drc-names" || seen.iter().all(|(_, name, ..)| name.is_empty()));
            assert!(list != "ibm,drc-power-domains" || seen.iter().all(|(.., domain)| *domain == -1));
        }
    }
}

#[test]
fn a_count_of_connectors_that_lies_is_held_to_what_is_there() {
    for (count, there, seen, wrong) in
        [(u32::MAX, 2, 2, 1), (3, 2, 2, 1), (1, 2, 1, 4), (0, 2, 0, 4), (2, 1, 1, 4)]
    {
        let mut indexes = cells(&[count, 0x8000_0004, 0x8000_0005]);
        indexes.truncate(4 + 4 * there);
        let (found, problems) = connectors(&[("ibm,drc-indexes", &indexes)]);
        assert_eq!((found.len(), problems.len()), (seen, wrong), "{count} {there}");
    }
    assert_eq!(connectors(&[("ibm,drc-indexes", &[])]).0, []);
}

#[test]
fn a_connector_of_an_unknown_type_is_of_the_kind_that_its_index_says() {
    let (seen, problems) = connectors(&[("ibm,drc-types", b"\0\0\0\x02NEW\0\xff\xfe\0")]);
    assert_eq!(problems, ["/:ibm,drc-types"]);
    assert!(seen.iter().all(|(_, _, kind, _)| *kind == DrcKind::LMB));
    let (seen, problems) = connectors(&[("ibm,drc-types", b"\0\0\0\x02CPU\0MEM\0")]);
    assert_eq!((seen[0].2, problems.len()), (DrcKind::CPU, 0));
}

#[test]
fn many_connectors_are_read_at_once() {
    const MANY: u32 = 32768;
    let indexes: Vec<u32> = [MANY].into_iter().chain((0..MANY).map(|at| 0x8000_0000 + at)).collect();
    let domains: Vec<u32> = [MANY].into_iter().chain((0..MANY).map(|_| u32::MAX)).collect();
    let mut names = MANY.to_be_bytes().to_vec();
    let mut types = names.clone();
    for at in 0..MANY {
        names.extend(format!("LMB {at}\0").bytes());
        types.extend(b"MEM\0");
    }
    let (indexes, domains) = (cells(&indexes), cells(&domains));
    let replaced: &[(&str, &[u8])] = &[
        ("ibm,drc-indexes", &indexes),
        ("ibm,drc-names", &names),
        ("ibm,drc-types", &types),
        ("ibm,drc-power-domains", &domains),
    ];
    let (seen, problems) = connectors(replaced);
    assert_eq!((seen.len(), problems.len()), (32768, 0));
    assert_eq!(seen[32767], (0x8000_7fff, "LMB 32767".to_string(), DrcKind::LMB, -1));
}

const SIZE: &[u8] = &0x1000_0000_u64.to_be_bytes();

fn runs(property: &str, value: &[u32]) -> (Vec<LmbRun>, usize) {
    let value = cells(value);
    let node: &[(&str, &[u8])] = &[("ibm,lmb-size", SIZE), (property, &value)];
    let (seen, problems) =
        view(&[("ibm,dynamic-reconfiguration-memory", node)], |tree, problems| tree.dynamic_memory(problems));
    (seen.expect("a size").runs, problems.len())
}

fn run(count: u32, base: u64, first: u32, flags: u32) -> LmbRun {
    let flags = LmbFlags::from_bits_retain(flags);
    LmbRun { count, base, first: DrcIndex(first), associativity: 0, flags }
}

#[test]
fn blocks_of_the_first_form_are_joined_where_they_are_alike() {
    let entry = |at: u32, flags| [0, at << 28, 0x8000_0000 + at, 0, 0, flags];
    let value =
        [&[5][..], &entry(4, 8), &entry(5, 8), &entry(6, 0), &entry(8, 0), &entry(9, 0x8000)].concat();
    let wanted = [
        run(2, 0x4000_0000, 0x8000_0004, 8),
        run(1, 0x6000_0000, 0x8000_0006, 0),
        run(1, 0x8000_0000, 0x8000_0008, 0),
        run(1, 0x9000_0000, 0x8000_0009, 0x8000),
    ];
    assert_eq!(runs("ibm,dynamic-memory", &value), (wanted.to_vec(), 0));
}

#[test]
fn blocks_that_cannot_be_are_left_out() {
    const V2: &str = "ibm,dynamic-memory-v2";
    let good = run(2, 0x4000_0000, 0x8000_0004, 0);
    let entry = [2, 0, 0x4000_0000, 0x8000_0004, 0, 0];
    let with = |other: [u32; 6]| runs(V2, &[&[2][..], &other, &entry].concat());
    assert_eq!(runs(V2, &[&[1][..], &entry].concat()), (vec![good], 0));
    assert_eq!(with([0, 0, 0, 0, 0, 0]), (vec![good], 1));
    assert_eq!(with([MAX_LMBS + 1, 0, 0, 0x8000_0000, 0, 0]), (vec![good], 1));
    assert_eq!(with([2, u32::MAX, 0xf000_0000, 0x8000_0000, 0, 0]), (vec![good], 1));
    assert_eq!(with([2, 0, 0, u32::MAX, 0, 0]), (vec![good], 1));
    // A run without connectors may say what it likes about them.
    assert_eq!(with([2, 0, 0, u32::MAX, 0, 0x20]).0.len(), 2);
    for count in [0, 2, u32::MAX] {
        assert_eq!(runs(V2, &[&[count][..], &entry].concat()).1, 1, "{count}");
    }
    assert_eq!(runs(V2, &[]), (vec![], 0));
    assert_eq!(runs("none of both", &[]), (vec![], 1));
}

#[test]
fn blocks_without_a_size_are_no_blocks() {
    for size in [&[][..], &[0; 8], &[0, 0, 0, 1], &[1; 9]] {
        let (seen, problems) =
            view(&[("ibm,dynamic-reconfiguration-memory", &[("ibm,lmb-size", size)])], |tree, problems| {
                tree.dynamic_memory(problems)
            });
        assert_eq!((seen, problems.len()), (None, 1), "{size:?}");
    }
}

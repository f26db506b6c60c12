//! The services against the fake firmware, in each dialect.

use super::*;
use crate::openfirmware::captured::tree;
use crate::openfirmware::fake::{Dialect, Firmware};

fn each(check: impl Fn(&mut Firmware, Dialect)) {
    for dialect in Dialect::ALL {
        check(&mut Firmware::new(dialect, tree("qemu-7.2-vof-before-cas")), dialect);
    }
}

fn chosen(machine: &mut Firmware) -> Phandle {
    finddevice(machine, c"/chosen").expect("served").expect("there is one")
}

#[test]
fn a_node_is_found_or_is_not() {
    each(|machine, dialect| {
        assert_eq!(finddevice(machine, c"/nowhere"), Ok(None), "{dialect:?}");
        assert!(matches!(finddevice(machine, c"/memory@0"), Ok(Some(_))), "{dialect:?}");
        assert_eq!(finddevice(machine, c"/"), root(machine), "{dialect:?}");
    });
}

#[test]
fn a_property_is_read_as_far_as_it_fits_and_its_length_is_told() {
    each(|machine, _| {
        let node = chosen(machine);
        machine.node("/chosen").properties.push((b"test".to_vec(), b"12345".to_vec()));
        let mut value = [0; 3];
        assert_eq!(getprop(machine, node, c"test", &mut value), Ok(Some(5)));
        assert_eq!(&value, b"123");
        assert_eq!(getproplen(machine, node, c"test"), Ok(Some(5)));
        assert_eq!(getproplen(machine, node, c"none"), Ok(None));
        assert_eq!(getprop_cell(machine, node, c"test"), Ok(None));
        assert_eq!(getprop_cell(machine, node, c"phandle"), Ok(Some(node.0)));
    });
}

#[test]
fn properties_are_walked_and_the_name_is_listed_by_some() {
    each(|machine, dialect| {
        let node = chosen(machine);
        let wanted = machine.node("/chosen").properties.len() + usize::from(dialect != Dialect::OldVof);
        let (mut buffers, mut count) = ([[0; NAME_MAX]; 2], 0);
        loop {
            let [previous, next] = &mut buffers;
            let previous = CStr::from_bytes_until_nul(previous).expect("a name");
            if nextprop(machine, node, previous, next).expect("served").is_none() {
                break;
            }
            count += 1;
            buffers.swap(0, 1);
        }
        assert_eq!(count, wanted, "{dialect:?}");
        let mut name = [0; NAME_MAX];
        assert!(nextprop(machine, node, c"no such property", &mut name).is_err());
    });
}

#[test]
fn the_tree_is_walked_from_its_root() {
    each(|machine, _| {
        let root = root(machine).expect("served").expect("a root");
        assert_eq!(peer(machine, root), Ok(None));
        let mut at = child(machine, root).expect("served");
        let mut children = 0;
        while let Some(node) = at {
            children += 1;
            at = peer(machine, node).expect("served");
        }
        assert!(children > 5);
    });
}

#[test]
fn a_path_comes_without_its_nul() {
    each(|machine, dialect| {
        let mut path = [0; PATH_MAX];
        let node = finddevice(machine, c"/vdevice/vty@71000000").expect("served").expect("the terminal");
        let found = package_to_path(machine, node, &mut path);
        assert_eq!(found, Ok(Some(&b"/vdevice/vty@71000000"[..])), "{dialect:?}");
        let root = root(machine).expect("served").expect("a root");
        assert_eq!(package_to_path(machine, root, &mut path), Ok(Some(&b"/"[..])), "{dialect:?}");
        assert_eq!(package_to_path(machine, Phandle(3), &mut path), Ok(None), "{dialect:?}");
    });
}

#[test]
fn a_node_is_opened_or_is_not() {
    each(|machine, dialect| {
        assert_eq!(open(machine, c"/nowhere"), Ok(None), "{dialect:?}");
        let instance = open(machine, c"/chosen").expect("served").expect("opened");
        let node = chosen(machine);
        assert_eq!(instance_to_package(machine, instance), Ok(Some(node)));
        assert_eq!(close(machine, instance), Ok(()));
        assert_eq!(instance_to_package(machine, instance), Ok(None));
    });
}

#[test]
fn memory_is_claimed_until_there_is_none() {
    each(|machine, dialect| {
        let one = claim(machine, 0x1000, 0x1_0000).expect("served").expect("room");
        let two = claim(machine, 0x1000, 0x1_0000).expect("served").expect("room");
        assert_eq!(one % 0x1_0000 + two % 0x1_0000, 0);
        assert_eq!(one < two, dialect != Dialect::Slof, "{dialect:?}");
        assert_eq!(claim(machine, u32::MAX, 1), Ok(None), "{dialect:?}");
    });
}

#[test]
fn a_negotiation_is_granted_or_refused_in_either_way() {
    each(|machine, dialect| {
        let root = open(machine, c"/").expect("served").expect("opened");
        machine.cas_status = -4;
        let refused = client_architecture_support(machine, root, Arg::In(&[1, 2, 3])).expect("served");
        assert!(!refused.granted(), "{dialect:?}");
        assert_eq!(machine.asked, [1, 2, 3]);
        let says = if dialect == Dialect::Slof { (0, -1) } else { (-4, 0) };
        assert_eq!((refused.catch.0, refused.result.0), says);
        machine.cas_status = 0;
        assert!(
            client_architecture_support(machine, root, Arg::In(&[])).expect("served").granted(),
            "{dialect:?}"
        );
        let other = open(machine, c"/chosen").expect("served").expect("opened");
        assert!(
            !client_architecture_support(machine, other, Arg::In(&[])).expect("served").granted(),
            "{dialect:?}"
        );
    });
}

#[test]
fn after_a_negotiation_vof_knows_no_handle_of_before() {
    each(|machine, dialect| {
        machine.after_cas = Some(tree("qemu-7.2-vof-after-cas").to_vec());
        let before = chosen(machine);
        let root = open(machine, c"/").expect("served").expect("opened");
        assert!(client_architecture_support(machine, root, Arg::In(&[])).expect("served").granted());
        assert!(matches!(finddevice(machine, c"/ibm,dynamic-reconfiguration-memory"), Ok(Some(_))));
        assert_eq!(chosen(machine) == before, dialect == Dialect::Slof, "{dialect:?}");
        assert_eq!(
            getproplen(machine, before, c"bootargs").expect("served").is_some(),
            dialect == Dialect::Slof
        );
    });
}

#[test]
fn rtas_is_put_where_it_is_told_or_nowhere() {
    each(|machine, dialect| {
        let rtas = open(machine, c"/rtas").expect("served").expect("opened");
        assert_eq!(instantiate_rtas(machine, rtas, 0x1000), Ok(0x1000), "{dialect:?}");
        let other = open(machine, c"/chosen").expect("served").expect("opened");
        assert!(instantiate_rtas(machine, other, 0x1000).is_err(), "{dialect:?}");
    });
}

#[test]
fn slof_is_gone_after_quiesce_and_vof_is_not() {
    each(|machine, dialect| {
        assert_eq!(quiesce(machine), Ok(()));
        let gone = root(machine) == Err(ClientError::Service(ServiceError::Gone));
        assert_eq!(gone, dialect == Dialect::Slof, "{dialect:?}");
    });
}

#[test]
fn a_service_that_is_not_there_says_no_in_either_way() {
    each(|machine, dialect| {
        let answer = call::<_, 1>(machine, c"no-such-service", &mut []);
        assert_eq!(answer, Ok([u32::MAX]), "{dialect:?}");
    });
}

#[test]
fn the_firmware_is_known_by_what_it_calls_itself() {
    let mut slof = Firmware::new(Dialect::Slof, tree("qemu-10.0-slof-before-cas"));
    assert_eq!(firmware(&mut slof), Ok("slof"));
    slof.node("/openprom").properties.retain(|(name, _)| name != b"model");
    assert_eq!(firmware(&mut slof), Ok("unknown"));
    let mut vof = Firmware::new(Dialect::OldVof, tree("qemu-10.0-vof-before-cas"));
    assert_eq!(firmware(&mut vof), Ok("vof"));
}

#[test]
fn the_terminal_is_found_by_its_instance_or_by_its_path() {
    each(|machine, dialect| {
        let open = open(machine, c"/vdevice/vty@71000000").expect("served").expect("opened");
        let stdout = (b"stdout".to_vec(), open.0.to_be_bytes().to_vec());
        let node = machine.node("/chosen");
        node.properties.retain(|(name, _)| name != b"stdout" && name != b"stdout-path");
        assert_eq!(stdout_unit(machine), Ok(None), "{dialect:?}");
        machine.node("/chosen").properties.push(stdout);
        assert_eq!(stdout_unit(machine), Ok(Some(0x7100_0000)), "{dialect:?}");
        let node = machine.node("/chosen");
        node.properties.pop();
        node.properties.push((b"stdout-path".to_vec(), b"/vdevice/vty@71000000\0".to_vec()));
        assert_eq!(stdout_unit(machine), Ok(Some(0x7100_0000)), "{dialect:?}");
    });
}

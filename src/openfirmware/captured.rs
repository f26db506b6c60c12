//! Trees that real machines had, for the tests. Where they come from stands beside them.

macro_rules! trees {
    ($( $name:literal, )*) => {
        &[$( ($name, include_bytes!(concat!("../../tests/data/trees/", $name, ".dtb"))), )*]
    };
}

/// Each captured tree with the name of its file.
pub(crate) const TREES: &[(&str, &[u8])] = trees![
    "qemu-7.2-vof-before-cas",
    "qemu-7.2-vof-after-cas",
    "qemu-7.2-vof-after-cas-v1",
    "qemu-7.2-slof-before-cas",
    "qemu-7.2-slof-after-cas",
    "qemu-10.0-vof-before-cas",
    "qemu-10.0-vof-after-cas",
    "qemu-10.0-vof-after-cas-v1",
    "qemu-10.0-slof-before-cas",
    "qemu-10.0-slof-after-cas",
    "qemu-11.1-vof-before-cas",
    "qemu-11.1-vof-after-cas",
    "qemu-11.1-vof-after-cas-v1",
    "qemu-11.1-slof-before-cas",
    "qemu-11.1-slof-after-cas",
];

/// One of them.
pub(super) fn tree(name: &str) -> &'static [u8] {
    TREES.iter().find(|(known, _)| *known == name).expect("a captured tree").1
}

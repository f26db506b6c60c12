//! What a device says of itself, and what guests leave for each other.

use super::{Found, MAGIC, MemoryRange, SIGNATURE_ROOM, Signature, Unit, behind, is_armed};
use proptest::prelude::*;
use std::collections::HashMap;
use std::vec::Vec;

const BLOCK: u64 = 0x1000_0000;

fn properties() -> HashMap<&'static str, Vec<u8>> {
    HashMap::from([
        ("ibm,unit-guid", b"75a3cdd7-6a2f-4791-8d15-fe0a920e8e9e\0".to_vec()),
        ("ibm,block-size", BLOCK.to_be_bytes().to_vec()),
        ("ibm,number-of-blocks", 4_u64.to_be_bytes().to_vec()),
        ("ibm,metadata-size", 0x2_0000_u32.to_be_bytes().to_vec()),
        ("ibm,hcall-flush-required", Vec::new()),
    ])
}

fn read(properties: &HashMap<&str, Vec<u8>>) -> Result<Unit, String> {
    Unit::read(|name| properties.get(name).map(Vec::as_slice))
}

#[test]
fn a_device_is_understood() {
    let unit = read(&properties()).expect("well-formed");
    assert_eq!(unit.guid, "75a3cdd7-6a2f-4791-8d15-fe0a920e8e9e");
    assert_eq!((unit.block_size, unit.blocks, unit.metadata), (BLOCK, 4, 0x2_0000));
    assert!(unit.hcall_flush);
    let mut plain = properties();
    plain.remove("ibm,hcall-flush-required");
    plain.remove("ibm,unit-guid");
    assert_eq!(read(&plain), Ok(Unit { guid: String::new(), hcall_flush: false, ..unit }));
}

#[test]
fn what_is_missing_or_cut_is_named() {
    for (name, value) in properties() {
        if ["ibm,unit-guid", "ibm,hcall-flush-required"].contains(&name) {
            continue;
        }
        let mut without = properties();
        without.remove(name);
        assert_eq!(read(&without), Err(std::format!("there is no {name}")));
        for len in (0..value.len()).filter(|len| *len != 4) {
            without.insert(name, value[..len].to_vec());
            assert_eq!(read(&without), Err(std::format!("{name} is no number")), "{len}");
        }
    }
}

#[test]
fn absurd_sizes_are_refused() {
    for (block, blocks) in
        [(0, 4), (BLOCK, 0), (u64::MAX, 2), (BLOCK, u64::MAX), (SIGNATURE_ROOM, 1), (BLOCK + 8, 1)]
    {
        let mut absurd = properties();
        absurd.insert("ibm,block-size", u64::to_be_bytes(block).to_vec());
        absurd.insert("ibm,number-of-blocks", u64::to_be_bytes(blocks).to_vec());
        assert!(read(&absurd).is_err(), "{block:#x} {blocks}");
    }
    let mut long = properties();
    long.insert("ibm,metadata-size", u64::MAX.to_be_bytes().to_vec());
    assert!(read(&long).is_err());
}

#[test]
fn a_place_without_room_is_none() {
    let unit = read(&properties()).expect("well-formed");
    let range = unit.range(0x5000_0000).expect("room");
    assert_eq!(range, MemoryRange { base: 0x5000_0000, size: 4 * BLOCK });
    assert_eq!(behind(range, 4 << 10), MemoryRange { base: 0x5001_0000, size: 4 * BLOCK - SIGNATURE_ROOM });
    assert_eq!(behind(range, 1 << 20), MemoryRange { base: 0x5010_0000, size: 4 * BLOCK - (1 << 20) });
    assert_eq!((unit.range(0x5000_0008), unit.range(u64::MAX - BLOCK + 1)), (None, None));
}

#[test]
fn a_device_that_says_that_it_cannot_keep_is_believed() {
    const UNARMED: u64 = 1 << 63;
    assert!(!is_armed(UNARMED, UNARMED));
    assert!(!is_armed(u64::MAX, u64::MAX));
    assert!(is_armed(UNARMED, 0), "a bit that means nothing");
    assert!(is_armed(!UNARMED, u64::MAX), "other bits");
}

#[test]
fn a_signature_is_found_again_where_it_was_left() {
    let signature = Signature { lives: 3, base: 0x5000_0000, stride: 4096 };
    let found = Signature::find(signature.words());
    assert_eq!(found, Found::Ours(signature));
    assert_eq!((found.lives(), found.word()), (3, "ours"));
    assert_eq!((found.stride_at(0x5000_0000), found.stride_at(0x6000_0000)), (Some(4096), None));
    assert_eq!(Signature::find([0; 5]), Found::Blank);
    assert_eq!(Signature::find([MAGIC, 1, 2, 3, 4]), Found::Foreign);
    assert_eq!((Found::Foreign.lives(), Found::Blank.stride_at(0)), (0, None));
}

proptest! {
    #[test]
    fn a_signature_with_a_changed_bit_is_foreign(
        lives: u64, base: u64, stride: u64, word in 0..5_usize, bit in 0..64_u32,
    ) {
        let mut words = Signature { lives, base, stride }.words();
        words[word] ^= 1 << bit;
        prop_assert_eq!(Signature::find(words), Found::Foreign);
    }
}

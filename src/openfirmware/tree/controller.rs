//! The interrupt controller of the tree.

use super::{Problem, Reader, Tree, cells, text, value_of};
use alloc::format;
use alloc::vec::Vec;

/// What the tree says of the interrupt controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum InterruptController {
    /// XICS, or nothing that says that it is another one.
    #[default]
    Xics,
    /// XIVE.
    Xive {
        /// The operating system's page of the thread interrupt management area.
        page: u64,
        /// The powers of two of the bytes that a queue can have.
        queues: Vec<u32>,
    },
}

/// The name of a XIVE controller.
const XIVE: &str = "ibm,power-ivpe";

impl<'t> Tree<'t> {
    /// What the interrupt controller calls itself, the first name in its `compatible`.
    ///
    /// Ref: LoPAR B.6 (Interrupt Controller Nodes)
    pub fn interrupt_controller(&self) -> Option<&'t str> {
        text(value_of(self.controller_node()?, "compatible")?)
    }

    fn controller_node(&self) -> Option<fdt::node::FdtNode<'_, 't>> {
        let mut nodes = self.root()?.children();
        nodes.find(|node| node.name.split('@').next() == Some("interrupt-controller"))
    }

    /// The interrupt controller, with what a guest has to know of it.
    ///
    /// Ref: QEMU hw/intc/spapr_xive.c (spapr_xive_dt: `reg` has the user's page, then the operating system's)
    pub fn controller(&self, problems: &mut Vec<Problem>) -> InterruptController {
        let Some(node) = self.controller_node().filter(|_| self.interrupt_controller() == Some(XIVE)) else {
            return InterruptController::Xics;
        };
        let mut problem = |property, what| {
            problems.push(Problem::new(format!("/{}", node.name), property, what));
        };
        let mut reader = Reader::new(value_of(node, "reg").unwrap_or_default());
        let page = reader.sub(16, "user page").and_then(|_| reader.u64("page")).unwrap_or_else(|_| {
            problem("reg", "it does not name the operating system's page");
            0
        });
        let queues: Vec<u32> = cells(value_of(node, "ibm,xive-eq-sizes").unwrap_or_default())
            .filter(|shift| *shift < 32)
            .collect();
        if queues.is_empty() {
            problem("ibm,xive-eq-sizes", "it names no size of a queue");
        }
        InterruptController::Xive { page, queues }
    }
}

#[cfg(test)]
mod tests {
    use super::{InterruptController, Tree};
    use crate::openfirmware::writer::Writer;

    fn cells(cells: &[u32]) -> Vec<u8> {
        cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
    }

    /// What a tree says whose controller has these properties, and how many problems there are.
    fn read(properties: &[(&str, Vec<u8>)]) -> (InterruptController, usize) {
        let mut writer = Writer::new(1 << 16).expect("room");
        writer.begin_node("").expect("room");
        writer.begin_node("interrupt-controller@60302031b0000").expect("room");
        properties.iter().for_each(|(name, value)| writer.property(name, value).expect("room"));
        writer.end_node().expect("room");
        writer.end_node().expect("room");
        let bytes = writer.finish().expect("room");
        let mut problems = Vec::new();
        let controller = Tree::new(&bytes).expect("well-formed").controller(&mut problems);
        (controller, problems.len())
    }

    #[test]
    fn a_xive_has_a_page_and_queues() {
        let name = ("compatible", b"ibm,power-ivpe\0".to_vec());
        let reg = cells(&[0x60302, 0x31b_0000, 0, 0x1_0000, 0x60302, 0x31a_0000, 0, 0x1_0000]);
        let sizes = ("ibm,xive-eq-sizes", cells(&[16, 99]));
        let whole = read(&[name.clone(), ("reg", reg.clone()), sizes.clone()]);
        let page = 0x6_0302_031a_0000;
        assert_eq!(whole, (InterruptController::Xive { page, queues: vec![16] }, 0));
        for len in 0..24 {
            let (controller, problems) = read(&[name.clone(), ("reg", reg[..len].to_vec()), sizes.clone()]);
            assert_eq!(controller, InterruptController::Xive { page: 0, queues: vec![16] }, "{len}");
            assert_eq!(problems, 1, "{len}");
        }
        assert_eq!(read(&[name]).1, 2);
    }

    #[test]
    fn all_else_is_a_xics() {
        assert_eq!(read(&[("compatible", b"IBM,ppc-xicp\0".to_vec())]), (InterruptController::Xics, 0));
        assert_eq!(read(&[]), (InterruptController::Xics, 0));
    }
}

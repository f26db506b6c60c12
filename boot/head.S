// The first instructions of the payload.
//
// What the firmware leaves us (SLOF and VOF alike, QEMU 7.2 to 11.1):
//   - the processor runs in 32-bit mode (MSR[SF] = 0), real mode, big-endian; SLOF turns floating point on, VOF does
//     not, and a compiler is free to use it for anything, so it must be on before the first Rust instruction;
//   - r3, r4: start and size of the initial ramdisk, or 0; r5: the entry of the Open Firmware client interface;
//   - r1: some stack of the firmware's, which we leave at once;
//   - we are at the lowest address of the image, wherever QEMU put it: nothing may use an absolute address before the
//     image has been relocated.
//
// In 32-bit mode registers are 64 bits wide and arithmetic is 64-bit; only addresses are cut to 32 bits. So the whole
// prologue could run in either mode; it switches early to have one thing less to think about.
//
// Ref: LoPAR B.10 (Client program requirements), ELFv2 ABI 2.3.2 (TOC), 4.? (R_PPC64_RELATIVE)

	.section .head, "ax", @progbits
	.globl	_start
_start:
	// Where are we? A branch to the next instruction leaves its address in the link register. This form ("20,31") is
	// the one that processors know as "read my address" and that does not upset their return prediction.
	bcl	20, 31, 0f
0:	mflr	31
	addi	31, 31, _start - 0b		// r31: the load address, kept to the end
	clrldi	31, 31, 32			// 32-bit mode gave us 32 bits of it

	// Keep what the firmware told us, in registers that nothing below touches.
	clrldi	26, 5, 32			// r26: the client interface
	clrldi	27, 3, 32			// r27: the initial ramdisk
	clrldi	28, 4, 32			// r28: its size
	mfmsr	29				// r29: how we were entered, for the log

	// 64-bit mode, floating point and vectors on, machine checks taken instead of stopping the processor, and
	// "recoverable" so that an early exception is not taken for a fatal one. External interrupts stay off.
	lis	3, {msr_63_48}
	ori	3, 3, {msr_47_32}
	sldi	3, 3, 32
	oris	3, 3, {msr_31_16}
	ori	3, 3, {msr_15_0}
	mtmsrd	3
	isync

	// Relocate. The linker laid the image out for address 0 and left a table of the doublewords that hold an address:
	// (where, kind, what) with 8 bytes each. Only one kind occurs, "load address + what". It does not read the old
	// value, so relocating twice (a restart without a reload) does no harm.
	ld	4, (rela_start - _start)(31)	// distances, not addresses: good before relocation
	ld	5, (rela_end - _start)(31)
	add	4, 4, 31
	add	5, 5, 31
1:	cmpld	4, 5
	bge	2f
	ld	6, 0(4)				// where, from the start of the image
	ld	7, 8(4)				// the kind, in the lower half
	ld	8, 16(4)			// what
	addi	4, 4, 24
	cmplwi	7, 22				// R_PPC64_RELATIVE
	bne	1b				// (the linker script lets no other kind through)
	add	8, 8, 31
	stdx	8, 6, 31
	b	1b
2:
	// The table of contents: where code finds the addresses of everything else.
	ld	2, (toc - _start)(31)

	// Clear .bss. QEMU does that when it loads us; a restart of the payload without QEMU's help does not.
	ld	4, (bss_start - _start)(31)
	ld	5, (bss_end - _start)(31)
	li	0, 0
3:	cmpld	4, 5
	bge	4f
	std	0, 0(4)
	addi	4, 4, 8
	b	3b
4:
	// Our own stack. The ABI wants a frame for the callee to save into, and a zero where a back trace ends.
	ld	1, (stack_top - _start)(31)
	addi	1, 1, -{frame}
	std	0, 0(1)				// r0 is 0: no caller
	std	0, 16(1)			// and no return address

	mr	3, 26				// the client interface
	mr	4, 27				// the initial ramdisk
	mr	5, 28				// its size
	mr	6, 31				// the load address
	mr	7, 29				// MSR at entry
	bl	{entry}
	nop					// the linker may want this place to restore r2
	trap					// the entry does not return

	.balign	8
rela_start:	.quad	__rela_start - _start	// the linker fills in distances here,
rela_end:	.quad	__rela_end - _start
toc:		.quad	.TOC.@tocbase		// and these are in the table that was just walked
bss_start:	.quad	__bss_start
bss_end:	.quad	__bss_end
stack_top:	.quad	__stack_top
	.text

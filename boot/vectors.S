// The exception vectors: what the processor runs when something happens.
//
// The processor jumps to a fixed low address for each kind of exception, in 64-bit real mode with interrupts,
// floating point and vectors off. Low memory is the firmware's until it is quiesced, so this whole block is copied
// there when the firmware is not at work and swapped out around calls to it (arch/powerpc64/low_memory.rs). It is
// therefore written to run at {low_start}, not where the linker put it: inside it only relative branches, and every
// address of ours comes out of the block that SPRG1 points at.
//
// Two exceptions are expected, the external interrupt and the decrementer. They are only noticed: count, time base,
// and back with interrupts off. No Rust runs here, so there is no lock to order and no floating point to save; the
// loop in Rust sees the count, claims the interrupt and does the work. Everything else ends the guest: all registers
// are kept and a Rust function is called on a stack of its own. But a load that is made in doubt (memory.rs) names the
// place where to go on should it fail, and then the guest goes on there.
//
// Registers while here: SPRG1 the processor's block, SPRG2 the old r13, r13 the block, r12 the vector.
//
// Ref: ISA 3.1B III 7.5 (interrupt vectors), LoPAR 14.2 (SPRG registers are the partition's)

	.section .rodata.vectors, "a", @progbits
	.balign	128
	.globl	vectors_start
vectors_start:

	// One entry: 20 bytes, which fits the closest spacing that there is (32 bytes).
	.macro	vector address
	.org	\address - {low_start}
	mtsprg	2, 13			// r13 is kept in SPRG2 ...
	mfsprg	13, 1			// ... and becomes the block
	std	12, {block_scratch}(13)	// r12 is free ...
	li	12, \address		// ... to say which vector this is
	b	common
	.endm

	// Every place where a vector can be, known or not: an exception that today's processors do not have must not run
	// into somebody else's code. From 0xe00 on some are only 32 bytes apart.
	// 0x100 to 0xd80, every 0x80
	.irp	slot, 0x100,0x180,0x200,0x280,0x300,0x380,0x400,0x480
	vector	\slot
	.endr
	.irp	slot, 0x500,0x580,0x600,0x680,0x700,0x780,0x800,0x880
	vector	\slot
	.endr
	.irp	slot, 0x900,0x980,0xa00,0xa80,0xb00,0xb80,0xc00,0xc80
	vector	\slot
	.endr
	.irp	slot, 0xd00,0xd80
	vector	\slot
	.endr
	// 0xe00 to 0xfe0, every 0x20
	.irp	slot, 0xe00,0xe20,0xe40,0xe60,0xe80,0xea0,0xec0,0xee0
	vector	\slot
	.endr
	.irp	slot, 0xf00,0xf20,0xf40,0xf60,0xf80,0xfa0,0xfc0,0xfe0
	vector	\slot
	.endr
	// 0x1000 to 0x1680, every 0x80
	.irp	slot, 0x1000,0x1080,0x1100,0x1180,0x1200,0x1280,0x1300,0x1380
	vector	\slot
	.endr
	.irp	slot, 0x1400,0x1480,0x1500,0x1580,0x1600,0x1680
	vector	\slot
	.endr

	.org	0x1700 - {low_start}
common:
	std	11, {block_scratch} + 8(13)	// one more register to work with
	mfcr	11			// the comparisons below would lose it
	std	11, {block_scratch} + 16(13)
	cmpldi	12, {external}
	beq	external
	cmpldi	12, {decrementer}
	bne	unexpected

	// The decrementer interrupts as long as it is negative: give it the longest time that there is.
	lis	11, 0x7fff
	ori	11, 11, 0xffff
	mtdec	11
	ld	11, {block_ticks}(13)	// one more tick
	addi	11, 11, 1
	std	11, {block_ticks}(13)
	b	leave

	// The external interrupt: when it came, and that it came. Who it is from is asked later, by H_XIRR.
external:
	mftb	11			// when
	std	11, {block_taken_at}(13)
	ld	11, {block_taken}(13)	// how many
	addi	11, 11, 1
	std	11, {block_taken}(13)

	// Back to where we were, with MSR[EE] off: nothing more is taken before the loop has looked.
leave:
	mfsrr1	11			// the MSR to return to
	rldicl	11, 11, 48, 1			// EE to the top and away
	rotldi	11, 11, 16		// and all others back to their places
	mtsrr1	11
restore:
	ld	11, {block_scratch} + 16(13)	// CR as it was
	mtcrf	0xff, 11
	ld	11, {block_scratch} + 8(13)	// and the registers
	ld	12, {block_scratch}(13)
	mfsprg	13, 2			// the block is let go last
	rfid
	b	.				// (no processor goes on after rfid)

	// Nobody expected this one, unless a recovery was prepared for it: it holds for one exception.
unexpected:
	ld	11, {block_recovery}(13)
	cmpldi	11, 0			// none: this is for the record
	beq	keep
	mtsrr0	11			// on from there ...
	li	11, 0
	std	11, {block_recovery}(13)	// ... and no second time
	mfmsr	11			// in the state that Rust needs, with EE off as it is now
	ori	11, 11, {msr_15_0}
	oris	11, 11, {msr_31_16}
	mtsrr1	11
	b	restore

	// Keep everything, where it is, for the record.
keep:
	.irp	reg, 0,1,2,3,4,5,6,7,8,9,10
	std	\reg, {block_frame} + 8 * \reg(13)
	.endr
	ld	10, {block_scratch} + 8(13)	// r11, r12 and r13 as they were
	std	10, {block_frame} + 8 * 11(13)
	ld	10, {block_scratch}(13)
	std	10, {block_frame} + 8 * 12(13)
	mfsprg	10, 2
	std	10, {block_frame} + 8 * 13(13)
	.irp	reg, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	std	\reg, {block_frame} + 8 * \reg(13)
	.endr
	std	12, {block_frame} + 8 * 32(13)	// the vector
	mfsrr0	10			// where it happened
	std	10, {block_frame} + 8 * 33(13)
	mfsrr1	10			// and in which state
	std	10, {block_frame} + 8 * 34(13)
	mfdar	10			// the data address
	std	10, {block_frame} + 8 * 35(13)
	mfdsisr	10			// and what was wrong with it
	std	10, {block_frame} + 8 * 36(13)
	mflr	10			// for the back trace
	std	10, {block_frame} + 8 * 37(13)
	mfctr	10
	std	10, {block_frame} + 8 * 38(13)
	ld	10, {block_scratch} + 16(13)
	std	10, {block_frame} + 8 * 39(13)	// CR
	mfxer	10
	std	10, {block_frame} + 8 * 40(13)

	// A stack that is certainly whole, our table of contents, and the machine state that Rust needs.
	ld	1, {block_emergency_top}(13)	// a stack of its own
	addi	1, 1, -{frame}		// room for a frame
	li	0, 0
	std	0, 0(1)			// no caller: the back chain ends here
	std	0, 16(1)		// and no return address
	ld	2, {block_toc}(13)
	mfmsr	10			// 64-bit, floating point and vectors on
	ori	10, 10, {msr_15_0}
	oris	10, 10, {msr_31_16}
	mtmsrd	10
	isync
	mr	3, 13			// its argument: the block
	ld	12, {block_handler}(13)		// ELFv2: r12 holds the address of the function that is entered
	mtctr	12
	bctrl
	b	.				// it does not return

	.balign	128				// whole cache lines
	.globl	vectors_end
vectors_end:
	.text

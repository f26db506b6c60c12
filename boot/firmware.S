// Calling the firmware: the Open Firmware client interface, and RTAS. One way in for both.
//
// u64 firmware_call(u64 r3, u64 r4, u64 entry)
//
// Both are written for 32-bit mode. SLOF keeps our registers; VOF is 32-bit code that saves what it must not change
// with 32-bit stores, so that the upper halves of r14 to r31 are lost; what a platform's RTAS keeps is its own
// affair. So everything that our caller may rely on is saved here, on our stack, which lies below 4 GiB like all of
// the payload. The frame is all that is left of us during the call: r1 points at it, and firmware that follows its
// own 32-bit ABI leaves r1 alone.
//
// Ref: IEEE 1275 6.3 (client interface), LoPAR 7.2.1 (RTAS is called in real mode, with MSR[EE] and MSR[SF] off)

	.set	FRAME, 288			// 112 for callees, r2 and r13 to r31 up to 272, MSR, padding to 16

	.text
	.globl	firmware_call
	.type	firmware_call, @function
firmware_call:
	mflr	0
	std	0, 16(1)			// the return address, in the caller's frame
	mfcr	0
	std	0, 8(1)				// and CR
	stdu	1, -FRAME(1)

	// r2 (TOC), r13 (free for us, kept all the same) and r14 to r31, from offset 112: a 32-bit callee writes its back
	// chain and return address into the first 16 bytes above r1, and VOF up to 112 bytes below.
	std	2, 112(1)
	.irp	reg, 13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	std	\reg, 112 + 8 * (\reg - 12)(1)
	.endr

	// Interrupts off, 32-bit mode on. The next instruction is fetched from the same place, since we are below 4 GiB.
	mfmsr	7
	std	7, 272(1)
	mr	8, 7
	rldicl	8, 8, 48, 1			// clear EE: bring it to the top, cut it off,
	rotldi	8, 8, 16			// and turn back
	clrldi	8, 8, 1				// clear SF, the top bit
	mtctr	5
	mtmsrd	8
	isync
	bctrl

	// Back, in 32-bit mode still. The old machine state first, then everything else.
	clrldi	1, 1, 32
	ld	7, 272(1)
	mtmsrd	7
	isync
	.irp	reg, 13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	ld	\reg, 112 + 8 * (\reg - 12)(1)
	.endr
	ld	2, 112(1)
	addi	1, 1, FRAME
	ld	0, 8(1)
	mtcrf	0xff, 0
	ld	0, 16(1)
	mtlr	0
	clrldi	3, 3, 32			// the result is a 32-bit number
	blr
	.size	firmware_call, . - firmware_call

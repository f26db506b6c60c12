// Where a thread begins that `start-cpu` started.
//
// start-cpu puts the thread at this address in real mode with r3 = what its caller gave, which here is the address of
// the thread's block (arch/powerpc64/block.rs). Nothing else can be relied on: PAPR promises 64-bit mode only in
// part, QEMU turns SF and ME on and nothing more, and the general registers hold whatever they held.
//
// Ref: LoPAR 7.3.14.3 (start-cpu), QEMU hw/ppc/spapr_rtas.c (rtas_start_cpu)

	.text
	.globl	secondary_start
	.type	secondary_start, @function
secondary_start:
	clrldi	31, 3, 32			// r31: the block; addresses of ours are below 4 GiB

	lis	3, {msr_63_48}		// the same machine state as in head.S
	ori	3, 3, {msr_47_32}
	sldi	3, 3, 32
	oris	3, 3, {msr_31_16}
	ori	3, 3, {msr_15_0}
	mtmsrd	3
	isync

	mtsprg	1, 31				// the vectors find the block here
	ld	2, {block_toc}(31)
	ld	1, {block_stack_top}(31)
	addi	1, 1, -{frame}
	li	0, 0
	std	0, 0(1)				// the end of a back trace
	std	0, 16(1)
	mr	3, 31
	bl	{entry}
	nop
	trap					// the entry does not return
	.size	secondary_start, . - secondary_start

// memcpy, memmove, memset, memcmp and bcmp: what the compiler calls when it copies, fills or compares.
//
// A bare-metal build has no C library, and whether the compiler's own runtime brings these depends on how `core` was
// built; so they are always ours. They are written here and not in Rust because a compiler may turn a loop that copies
// bytes into a call of memcpy, even inside memcpy. Doublewords first, bytes for the rest; unaligned doublewords are
// fine on every processor that pseries has.
//
// ELFv2: arguments and result in r3, r4, r5; r0, r6 to r12 and ctr are free.

	.text

// void *memcpy(void *to, const void *from, size_t n)
	.globl	memcpy
	.type	memcpy, @function
memcpy:
	mr	9, 3				// r3 stays: it is the result
copy_up:
	srdi.	8, 5, 3				// whole doublewords
	beq	2f
	mtctr	8
1:	ld	7, 0(4)
	std	7, 0(9)
	addi	4, 4, 8
	addi	9, 9, 8
	bdnz	1b
2:	andi.	8, 5, 7				// and what is left
	beqlr
	mtctr	8
3:	lbz	7, 0(4)
	stb	7, 0(9)
	addi	4, 4, 1
	addi	9, 9, 1
	bdnz	3b
	blr
	.size	memcpy, . - memcpy

// void *memmove(void *to, const void *from, size_t n): the two may overlap
	.globl	memmove
	.type	memmove, @function
memmove:
	mr	9, 3				// r3 stays
	sub	8, 3, 4				// to - from as an unsigned number is at least n
	cmpld	8, 5				// unless `to` lies inside what is still to be read:
	bge	copy_up				// then from the last byte to the first
	cmpldi	5, 0
	beqlr					// nothing to do
	add	4, 4, 5				// both behind their ends
	add	9, 9, 5
	andi.	8, 5, 7				// the odd bytes are at the top
	beq	2f
	mtctr	8
1:	lbzu	7, -1(4)			// the pointers go down with it
	stbu	7, -1(9)
	bdnz	1b
2:	srdi.	8, 5, 3				// then whole doublewords
	beqlr
	mtctr	8
3:	ldu	7, -8(4)
	stdu	7, -8(9)
	bdnz	3b
	blr
	.size	memmove, . - memmove

// void *memset(void *to, int byte, size_t n)
	.globl	memset
	.type	memset, @function
memset:
	mr	9, 3				// r3 stays
	rlwimi	4, 4, 8, 16, 23			// the byte into two,
	rlwimi	4, 4, 16, 0, 15			// four
	rldimi	4, 4, 32, 0			// and eight
	srdi.	8, 5, 3				// whole doublewords
	beq	2f
	mtctr	8
1:	std	4, 0(9)
	addi	9, 9, 8
	bdnz	1b
2:	andi.	8, 5, 7				// and what is left
	beqlr
	mtctr	8
3:	stb	4, 0(9)
	addi	9, 9, 1
	bdnz	3b
	blr
	.size	memset, . - memset

// int memcmp(const void *a, const void *b, size_t n), and bcmp, which only wants to know "alike or not"
	.globl	memcmp
	.type	memcmp, @function
	.globl	bcmp
	.type	bcmp, @function
memcmp:
bcmp:
	srdi.	8, 5, 3				// whole doublewords
	beq	2f
	mtctr	8
1:	ld	6, 0(3)				// big-endian: the order of doublewords is that of their bytes
	ld	7, 0(4)
	cmpld	6, 7
	bne	5f				// the first that differ decide
	addi	3, 3, 8
	addi	4, 4, 8
	bdnz	1b
2:	andi.	8, 5, 7				// and what is left
	beq	4f
	mtctr	8
3:	lbz	6, 0(3)
	lbz	7, 0(4)
	cmpld	6, 7
	bne	5f
	addi	3, 3, 1
	addi	4, 4, 1
	bdnz	3b
4:	li	3, 0				// alike
	blr
5:	li	3, 1				// a is greater
	bgtlr
	li	3, -1				// or less
	blr
	.size	memcmp, . - memcmp

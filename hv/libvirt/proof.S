/* A boot sector that does what kernels do and then powers its machine off: protected mode with an iret,
 * paging, long mode, SSE, timer interrupts that end a hlt, a stretch of plain computing. Seen in time from
 * outside, the machine under it executes code (domain_type.c). A fault resets the machine, which starts
 * over and never gets to the end. Loaded by the firmware at LOAD. */

#define LOAD   0x7c00
#define TABLES 0x10000 /* page map, pointers, directory: a page each */
#define IDT    0x9000
#define TICKS  0x8000
#define AT(label) (LOAD + (label - lv_proof_begin))

#define CODE32 0x08
#define DATA   0x10
#define CODE64 0x18

        .section .rodata.lv_proof, "a"
        .globl  lv_proof_begin, lv_proof_end
        .type   lv_proof_begin, @object
        .code16
lv_proof_begin:
        cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $LOAD, %sp
        movw    $(TABLES >> 4), %ax
        movw    %ax, %es
        xorl    %eax, %eax
        xorw    %di, %di
        movw    $(3 * 4096 / 4), %cx
        rep stosl
        movl    $(TABLES + 0x1003), %es:0x0000
        movl    $(TABLES + 0x2003), %es:0x1000
        movl    $0x83, %es:0x2000               /* the first 2 MiB, as they are */
        lgdtl   AT(gdt_pointer)
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $CODE32, $AT(protected)

        .code32
protected:
        movl    $DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $LOAD, %esp
        pushfl
        pushl   $CODE32
        pushl   $AT(returned)
        iretl
returned:
        movl    $0x620, %eax                    /* PAE, OSFXSR, OSXMMEXCPT */
        movl    %eax, %cr4
        movl    $TABLES, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax                    /* long mode */
        wrmsr
        movl    %cr0, %eax
        andl    $~4, %eax
        orl     $0x80000002, %eax               /* paging */
        movl    %eax, %cr0
        ljmpl   $CODE64, $AT(long_mode)

        .code64
long_mode:
        movl    $0, TICKS
        /* Vector 0x20: the handler, present, interrupt gate. */
        movl    $(IDT + 0x200), %edi
        movl    $((CODE64 << 16) + AT(on_tick)), (%rdi)
        movl    $0x8e00, 4(%rdi)
        movq    $0, 8(%rdi)
        lidt    AT(idt_pointer)
        /* Interrupt controller: vectors from 0x20, the timer alone. */
        movl    $AT(pic), %esi
        movl    $5, %ecx
1:      lodsw
        movzbl  %ah, %edx
        outb    %al, %dx
        loop    1b
        sti
2:      hlt
        cmpl    $3, TICKS
        jb      2b
        cli
        movl    $(1 << 26), %ecx
        pxor    %xmm0, %xmm0
        pcmpeqd %xmm1, %xmm1
3:      paddd   %xmm1, %xmm0
        decl    %ecx
        jnz     3b
        movd    %xmm0, %eax
        cmpl    $-(1 << 26), %eax
        jne     4f
        movl    $0x604, %edx                    /* power management: sleep type 0, now */
        movl    $0x2000, %eax
        outw    %ax, %dx
4:      hlt
        jmp     4b

on_tick:
        pushq   %rax
        incl    TICKS
        movb    $0x20, %al
        outb    %al, $0x20
        popq    %rax
        iretq

        /* Port in the high byte, value in the low one. */
pic:    .word   0x2011, 0x2120, 0x2104, 0x2101, 0x21fe

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff
        .quad   0x00cf93000000ffff
        .quad   0x00af9b000000ffff
gdt_pointer:
        .word   . - gdt - 1
        .long   AT(gdt)
idt_pointer:
        .word   0x21 * 16 - 1
        .quad   IDT

        .org    lv_proof_begin + 510
        .byte   0x55, 0xaa
lv_proof_end:
        .size   lv_proof_begin, lv_proof_end - lv_proof_begin

        .section .note.GNU-stack, "", @progbits

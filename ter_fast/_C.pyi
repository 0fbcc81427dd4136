"""Compiled kernels: addresses of contiguous buffers and their sizes; 0 means "not given"."""

def fuse_forward(
    evidence: int,
    mask: int,
    discount: int,
    views: int,
    rows: int,
    classes: int,
    rule: int,
    is_double: bool,
    limit: float,
    fused: int,
    uncertainty: int,
    conflict: int,
    disagreement: int,
    threads: int,
    /,
) -> None: ...
def fuse_backward(
    evidence: int,
    mask: int,
    discount: int,
    views: int,
    rows: int,
    classes: int,
    rule: int,
    is_double: bool,
    limit: float,
    grad_fused: int,
    grad_uncertainty: int,
    grad_conflict: int,
    grad_disagreement: int,
    grad_evidence: int,
    grad_discount: int,
    threads: int,
    /,
) -> None: ...
def instruction_set() -> str: ...

"""Compiled kernels: addresses of contiguous buffers and their sizes; 0 means "not given".

Each call ends in `device, stream`: a CUDA device and stream, or -1 and a number of CPU threads.
"""

cuda_architectures: str
# Only where there are none.
without_cuda: str
# The digest of what it was compiled from; see opinions/_ops/extension.py.
sources: str
# Names in the order of their codes, which are what calls below take.
RULES: tuple[str, ...]
CONFIDENCE_KINDS: tuple[str, ...]

def fuse_forward(
    evidence: int,
    mask: int,
    discount: int,
    views: int,
    rows: int,
    classes: int,
    rule: int,
    activation: int,
    dtype: int,
    limit: float,
    cap: float,
    fused: int,
    uncertainty: int,
    conflict: int,
    disagreement: int,
    device: int,
    stream: int,
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
    activation: int,
    dtype: int,
    limit: float,
    cap: float,
    grad_fused: int,
    grad_uncertainty: int,
    grad_conflict: int,
    grad_disagreement: int,
    grad_evidence: int,
    grad_discount: int,
    device: int,
    stream: int,
    /,
) -> None: ...
def predict(
    evidence: int,
    mask: int,
    discount: int,
    views: int,
    rows: int,
    classes: int,
    rule: int,
    activation: int,
    dtype: int,
    cap: float,
    kind: int,
    thresholds: int,
    threshold: float,
    disagreement_limit: float,
    probability: int,
    prediction: int,
    confidence: int,
    uncertainty: int,
    conflict: int,
    disagreement: int,
    trusted: int,
    device: int,
    stream: int,
    /,
) -> None: ...
def loss_forward(
    evidence: int,
    soft: int,
    label: int,
    rows: int,
    classes: int,
    kind: int,
    kl_weight: float,
    dtype: int,
    loss: int,
    gradient: int,
    device: int,
    stream: int,
    /,
) -> None: ...
def uncertainty_forward(
    alpha: int,
    rows: int,
    classes: int,
    dtype: int,
    vacuity: int,
    entropy: int,
    aleatoric: int,
    mutual_information: int,
    differential_entropy: int,
    dissonance: int,
    device: int,
    stream: int,
    /,
) -> None: ...
def uncertainty_backward(
    alpha: int,
    rows: int,
    classes: int,
    dtype: int,
    grad_vacuity: int,
    grad_entropy: int,
    grad_aleatoric: int,
    grad_mutual_information: int,
    grad_differential_entropy: int,
    grad_dissonance: int,
    grad_alpha: int,
    device: int,
    stream: int,
    /,
) -> None: ...
def special(function: int, x: int, y: int, count: int, dtype: int, threads: int, /) -> None: ...
def instruction_set() -> str: ...
def cuda_supports(device: int, /) -> bool: ...

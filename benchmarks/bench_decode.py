"""A clip to 16 pictures of at most 224 pixels and 16 kHz mono, beside torchcodec, OpenCV and FFmpeg."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from ter_fast import decode
from ter_fast.clip import Clip
from ter_fast.decode import pyav_video

FRAMES = 16
SIDE = 224
THREADS = (1, 2)
SMOKE = "obama_speech.mp4"
"""The only file read where rows are run but not timed."""

TIME_TOLERANCE = 1e-6
PIXEL_TOLERANCE = 6.0
"""Largest mean difference of two pictures in levels of 255: peers scale with other filters."""


@dataclass(frozen=True)
class Job:
    """A file and what the peers may know of it beforehand: when to sample, and the size to give."""

    path: Path
    threads: int
    info: decode.MediaInfo
    wanted: list[float]
    size: tuple[int, int]


def job_of(path: Path, threads: int) -> Job:
    info = decode.probe(path)
    clip = decode.read(path, frames=1, audio=False, max_side=SIDE)
    assert clip.frames is not None
    wanted = [(i + 0.5) * info.duration / FRAMES for i in range(FRAMES)]
    return Job(path, threads, info, wanted, (clip.frames.shape[1], clip.frames.shape[2]))


def ours(job: Job, sampling: decode.Sampling = "exact") -> Clip:
    return decode.read(
        job.path, frames=FRAMES, max_side=SIDE, sampling=sampling, threads=job.threads
    )


def key_frames(job: Job) -> Clip:
    return ours(job, "keyframe")


def by_torchcodec(job: Job) -> Any:
    from torchcodec.decoders import AudioDecoder, VideoDecoder
    from torchcodec.transforms import Resize

    decoder = VideoDecoder(
        job.path,
        dimension_order="NHWC",
        num_ffmpeg_threads=job.threads,
        transforms=[Resize(job.size)],
    )
    first, last = decoder.metadata.begin_stream_seconds, decoder.metadata.end_stream_seconds
    times = [min(max(t + job.info.start + 1e-6, first), last - 1e-6) for t in job.wanted]
    pictures = decoder.get_frames_played_at(times)
    sound = None
    if job.info.has_audio:
        sound = AudioDecoder(job.path, sample_rate=16_000, num_channels=1).get_all_samples()
    return pictures, sound


def by_opencv(job: Job) -> list[Any]:
    """Read the pictures, as OpenCV reads no sound: every frame is decoded, the kept ones converted."""
    import cv2

    capture = cv2.VideoCapture(str(job.path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, job.threads])
    assert capture.isOpened()
    kept = []
    pending = [round(t * (job.info.frame_rate or 25.0) - 0.5) for t in job.wanted]
    index = 0
    while pending and capture.grab():
        if index >= pending[0]:
            pending.pop(0)
            _, picture = capture.retrieve()
            small = cv2.resize(picture, job.size[::-1], interpolation=cv2.INTER_AREA)
            kept.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
        index += 1
    capture.release()
    return kept


def by_ffmpeg(job: Job) -> None:
    """Decode all of the file and throw it away."""
    command = ["ffmpeg", "-v", "error", "-threads", str(job.threads), "-i", str(job.path)]
    subprocess.run([*command, "-f", "null", "-"], check=True, stderr=subprocess.DEVNULL)


ROWS: dict[str, Callable[[Job], Any]] = {
    "ter_fast": ours,
    "key frames": key_frames,
    "torchcodec": by_torchcodec,
    "OpenCV, no sound": by_opencv,
    "ffmpeg -f null": by_ffmpeg,
}
INSTALLED = {
    "torchcodec": importlib.util.find_spec("torchcodec") is not None,
    "ffmpeg -f null": shutil.which("ffmpeg") is not None,
}


def check(job: Job, row: str, answer: Any) -> None:
    """Compare a row's times and pictures with those of a clip decoded frame by frame."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyav_video, "_sample", pyav_video._sample_in_order)
        full = decode.read(job.path, frames=FRAMES, max_side=SIDE)
    assert full.frames is not None
    assert full.times is not None
    if row == "ter_fast":
        assert torch.equal(answer.times, full.times)
        assert torch.equal(answer.frames, full.frames)
    elif row == "key frames":
        same = decode.read(
            job.path, times=[t + TIME_TOLERANCE for t in answer.times.tolist()], max_side=SIDE
        )
        assert torch.equal(answer.times, same.times)
        assert torch.equal(answer.frames, same.frames)
    elif row == "torchcodec":
        begins = (answer[0].pts_seconds - job.info.start).tolist()
        for time, picture in zip(full.times.tolist(), full.frames, strict=True):
            near = [abs(time - begin) for begin in begins]
            assert min(near) < TIME_TOLERANCE
            other = answer[0].data[near.index(min(near))]
            assert float((picture.float() - other.float()).abs().mean()) < PIXEL_TOLERANCE
    elif row.startswith("OpenCV"):
        assert all(picture.shape == (*job.size, 3) for picture in answer)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a row for each file, number of threads and peer that is there."""
    folder = Path(os.environ.get("TER_FAST_DATA", "."))
    files = sorted([*folder.glob("decode/*.mp4"), *folder.glob("fixtures/*.m[op][v4]")])
    if metafunc.config.getoption("benchmark_disable"):
        files = [path for path in files if path.name == SMOKE]
    metafunc.parametrize(
        ("path", "threads", "row"),
        [
            pytest.param(path, threads, row, id=f"{path.stem}-{threads}-{row.replace(' ', '_')}")
            for path in files
            for threads in THREADS
            for row in ROWS
            if INSTALLED.get(row, True)
        ],
    )


@pytest.mark.benchmark(max_time=0.5, min_rounds=3)
def test_decode(benchmark: Any, path: Path, threads: int, row: str) -> None:
    job = job_of(path, threads)
    plural = "s" if threads > 1 else ""
    benchmark.group = f"decode {path.stem}, {threads} thread{plural}"
    check(job, row, ROWS[row](job))
    benchmark(ROWS[row], job)
    if benchmark.stats is not None:
        benchmark.extra_info |= {
            "row": row,
            "device": "cpu",
            "clips_per_second": round(1 / benchmark.stats.stats.min, 2),
        }

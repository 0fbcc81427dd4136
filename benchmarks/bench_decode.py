"""A clip to 16 pictures of at most 224 pixels and 16 kHz mono, beside torchcodec, DALI, OpenCV, FFmpeg."""

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

from ter_fast.media import decode
from ter_fast.media.clip import Clip
from ter_fast.media.decode import pyav_video

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
    assert first is not None
    assert last is not None
    times = [min(max(t + job.info.start + 1e-6, first), last - 1e-6) for t in job.wanted]
    pictures = decoder.get_frames_played_at(times)
    sound = None
    if job.info.has_audio:
        sound = AudioDecoder(job.path, sample_rate=16_000, num_channels=1).get_all_samples()
    return pictures, sound


def by_dali(job: Job) -> Clip:
    return decode.read(job.path, frames=FRAMES, max_side=SIDE, threads=job.threads, backend="dali")


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
    "DALI": decode.available()["dali"],
    "ffmpeg -f null": shutil.which("ffmpeg") is not None,
}
ON_GPU = torch.cuda.is_available()
VP9_ROWS = {"ter_fast": ours, "torchcodec": by_torchcodec, "DALI": by_dali}
"""Rows of a film encoded again, as DALI decodes no H.264 without a GPU."""
HEIGHTS = (360, 720)
CLIPS = 64
BATCH_TOLERANCE = 8.0
"""Largest mean difference of two batches of pictures in levels of 255: NVDEC's colours differ too."""


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
        assert same.times is not None
        assert same.frames is not None
        assert torch.equal(answer.times, same.times)
        assert torch.equal(answer.frames, same.frames)
    elif row == "torchcodec":
        begins = (answer[0].pts_seconds - job.info.start).tolist()
        for time, picture in zip(full.times.tolist(), full.frames, strict=True):
            near = [abs(time - begin) for begin in begins]
            assert min(near) < TIME_TOLERANCE
            other = answer[0].data[near.index(min(near))]
            assert float((picture.float() - other.float()).abs().mean()) < PIXEL_TOLERANCE
    elif row == "DALI":
        assert answer.note == ""
        assert float((answer.times - full.times).abs().max()) < TIME_TOLERANCE
        error = (answer.frames.float() - full.frames.float()).abs().mean((1, 2, 3))
        assert float(error.max()) < PIXEL_TOLERANCE
    elif row.startswith("OpenCV"):
        assert all(picture.shape == (*job.size, 3) for picture in answer)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a row for each file, number of threads and peer that is there."""
    if "path" not in metafunc.fixturenames:
        return
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
    note(benchmark, row)


def note(benchmark: Any, row: str, clips: int = 1, device: str = "cpu") -> None:
    if benchmark.stats is not None:
        benchmark.extra_info |= {
            "row": row,
            "device": device,
            "clips_per_second": round(clips / benchmark.stats.stats.min, 2),
        }


def in_data(*parts: str) -> Path:
    path = Path(os.environ.get("TER_FAST_DATA", "."), *parts)
    if not path.is_file():
        pytest.skip(f"TER_FAST_DATA names no folder with {Path(*parts)}")
    return path


def encoded_again(
    source: Path, target: Path, encoder: str, height: int | None = None, seconds: float = 60.0
) -> Path:
    """Encode the pictures of a film again and copy its sound."""
    import av

    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        shown, heard = old.streams.video[0], old.streams.audio[0]
        assert shown.time_base is not None
        scale = 1.0 if height is None else height / shown.height
        video = new.add_stream(encoder, rate=shown.average_rate)
        assert isinstance(video, av.VideoStream)
        video.width, video.height = (2 * round(n * scale / 2) for n in (shown.width, shown.height))
        video.pix_fmt, video.codec_context.time_base = "yuv420p", shown.time_base
        if encoder == "libvpx-vp9":
            video.codec_context.options = {"deadline": "realtime", "cpu-used": "8", "b": "2M"}
        sound = new.add_stream_from_template(heard)
        for packet in old.demux(shown, heard):
            if packet.pts is not None and packet.pts * packet.time_base >= seconds:
                continue
            if packet.stream.type == "audio":
                packet.stream = sound
                if packet.size:
                    new.mux(packet)
                continue
            for frame in packet.decode():
                assert isinstance(frame, av.VideoFrame)
                small = frame.reformat(video.width, video.height, format="yuv420p")
                small.pict_type = av.video.frame.PictureType.NONE
                new.mux(video.encode(small))
        new.mux(video.encode(None))
    return target


@pytest.fixture(scope="session")
def vp9(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = in_data("fixtures", SMOKE)
    return encoded_again(source, tmp_path_factory.mktemp("vp9") / "vp9.mkv", "libvpx-vp9")


@pytest.mark.benchmark(max_time=0.5, min_rounds=3)
@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("row", [row for row in VP9_ROWS if INSTALLED.get(row, True)])
def test_decode_vp9(benchmark: Any, vp9: Path, threads: int, row: str) -> None:
    job = job_of(vp9, threads)
    benchmark.group = f"decode {SMOKE} as VP9, {threads} thread{'s' if threads > 1 else ''}"
    check(job, row, VP9_ROWS[row](job))
    benchmark(VP9_ROWS[row], job)
    note(benchmark, row, device="gpu" if ON_GPU and row == "DALI" else "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not (ON_GPU and INSTALLED["DALI"]), reason="needs a GPU and DALI")
@pytest.mark.benchmark(max_time=2.0, min_rounds=3)
@pytest.mark.parametrize("height", HEIGHTS)
@pytest.mark.parametrize("backend", ["pyav", "dali"])
def test_batches(benchmark: Any, tmp_path: Path, height: int, backend: str) -> None:
    """Clips a second through NVDEC beside PyAV's threads, to tensors on the GPU."""
    source = in_data("decode", "music_video_1.mp4")
    clip = encoded_again(source, tmp_path / "clip.mp4", "libx264", height, seconds=10.0)

    def run(count: int = CLIPS, backend: str = backend) -> list[torch.Tensor]:
        made = decode.batches(
            [clip] * count, batch_size=16, frames=FRAMES, size=SIDE, backend=backend
        )
        values = [each.batch.to("cuda").inputs["video"] for each in made]
        torch.cuda.synchronize()
        return values

    (mine,), (peer,) = run(1, "pyav"), run(1, backend)
    assert float((mine.float() - peer.float()).abs().mean()) < BATCH_TOLERANCE
    benchmark.group = f"batches of {height}p H.264"
    benchmark(run)
    note(benchmark, "DALI, NVDEC" if backend == "dali" else "ter_fast", CLIPS, "gpu")

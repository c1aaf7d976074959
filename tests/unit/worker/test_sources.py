import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from reelbase.worker.errors import RenderError
from reelbase.worker.sources import check, fetch

BODY = bytes(range(256)) * 4000
LIMIT = len(BODY)


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A directory that may be read, with one file."""
    directory = tmp_path / "media"
    directory.mkdir()
    (directory / "a b.mp4").write_bytes(BODY)
    return directory


@pytest.fixture
def work(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


async def whole(_: web.Request) -> web.Response:
    return web.Response(body=BODY)


async def endless(request: web.Request) -> web.StreamResponse:
    """No length is announced, and there is always more."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(BODY)


async def broken(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": str(LIMIT)})
    await response.prepare(request)
    await response.write(BODY[:100])
    assert request.transport is not None
    request.transport.close()
    return response


async def status(request: web.Request) -> web.Response:
    return web.Response(status=int(request.match_info["code"]))


async def to(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"location": request.query["url"]})


async def loop(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"location": "/loop"})


@pytest.fixture
async def server() -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/whole.mp4", whole)
    app.router.add_get("/endless", endless)
    app.router.add_get("/broken", broken)
    app.router.add_get("/status/{code}", status)
    app.router.add_get("/to", to)
    app.router.add_get("/loop", loop)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


def is_empty(directory: Path) -> bool:
    return not any(directory.iterdir())


async def refusal(url: str, work: Path, allowed: Path, *, private_addresses: bool = True) -> str:
    with pytest.raises(RenderError) as caught:
        await fetch(url, work, max_bytes=LIMIT, allowed_dirs=[allowed], private_addresses=private_addresses)
    assert is_empty(work)
    return caught.value.code


class TestFiles:
    @pytest.mark.parametrize("form", ["{0}/a b.mp4", "file://{0}/a%20b.mp4", "file://localhost{0}/a%20b.mp4"])
    async def test_are_taken_without_a_copy(self, media: Path, work: Path, form: str) -> None:
        heard: list[tuple[int, int | None]] = []

        async def on_bytes(had: int, total: int | None) -> None:
            heard.append((had, total))

        url = form.format(media)
        check(url, [media])
        path = await fetch(url, work, max_bytes=LIMIT, allowed_dirs=[media], on_bytes=on_bytes)

        assert path.samefile(media / "a b.mp4")
        assert path.parent == work
        assert heard == [(LIMIT, LIMIT)]

    async def test_stay_when_their_first_name_is_removed(self, media: Path, work: Path) -> None:
        path = await fetch(str(media / "a b.mp4"), work, max_bytes=LIMIT, allowed_dirs=[media])
        (media / "a b.mp4").unlink()

        assert path.read_bytes() == BODY

    async def test_must_exist(self, media: Path, work: Path) -> None:
        assert await refusal(f"file://{media}/none.mp4", work, media) == "source_missing"

    async def test_must_be_files(self, media: Path, work: Path) -> None:
        assert await refusal(f"file://{media}", work, media) == "source_unreadable"

    async def test_must_not_be_too_large(self, media: Path, work: Path) -> None:
        (media / "large").write_bytes(BODY + b"1")

        assert await refusal(f"{media}/large", work, media) == "source_too_large"

    @pytest.mark.parametrize(
        "url",
        [
            "/etc/passwd",
            "file:///etc/passwd",
            "file:///etc/none",
            "{0}/../secret",
            "file://{0}/%2e%2e/secret",
            "{0}/link",
            "file://other{0}/a%20b.mp4",
            "relative.mp4",
            "{0}x/a.mp4",
        ],
    )
    async def test_lie_below_an_allowed_directory(self, media: Path, work: Path, url: str) -> None:
        (media.parent / "secret").write_bytes(BODY)
        (media / "link").symlink_to(media.parent / "secret")

        assert await refusal(url.format(media), work, media) == "source_forbidden"

    async def test_with_impossible_names_are_missing(self, media: Path, work: Path) -> None:
        assert await refusal("file:///a%00b", work, media) == "source_missing"


class TestAddresses:
    async def test_are_streamed_to_a_file(self, server: str, media: Path, work: Path) -> None:
        heard: list[tuple[int, int | None]] = []

        async def on_bytes(had: int, total: int | None) -> None:
            heard.append((had, total))

        path = await fetch(
            f"{server}/whole.mp4?token=1",
            work,
            max_bytes=LIMIT,
            allowed_dirs=[media],
            on_bytes=on_bytes,
            private_addresses=True,
        )

        assert path.read_bytes() == BODY
        assert path.suffix == ".mp4"
        assert len(heard) > 1
        assert heard[-1] == (LIMIT, LIMIT)

    async def test_are_followed_to_where_they_lead(self, server: str, media: Path, work: Path) -> None:
        path = await fetch(
            f"{server}/to?url=/whole.mp4", work, max_bytes=LIMIT, allowed_dirs=[media], private_addresses=True
        )

        assert path.read_bytes() == BODY

    @pytest.mark.parametrize(
        ("path", "code"),
        [
            ("/status/404", "source_missing"),
            ("/status/410", "source_missing"),
            ("/status/401", "source_forbidden"),
            ("/status/403", "source_forbidden"),
            ("/status/500", "download_failed"),
            ("/endless", "source_too_large"),
            ("/broken", "download_failed"),
            ("/loop", "download_failed"),
            ("/to?url=file:///etc/passwd", "source_forbidden"),
        ],
    )
    async def test_that_fail(self, server: str, media: Path, work: Path, path: str, code: str) -> None:
        assert await refusal(f"{server}{path}", work, media) == code

    @pytest.mark.parametrize(
        ("path", "may_pass"),
        [
            ("/status/500", True),
            ("/status/503", True),
            ("/status/429", True),
            ("/broken", True),
            ("/status/404", False),
            ("/status/403", False),
            ("/status/400", False),
            ("/loop", False),
            ("/endless", False),
        ],
    )
    async def test_that_fail_for_a_passing_reason(
        self, server: str, media: Path, work: Path, path: str, may_pass: bool
    ) -> None:
        with pytest.raises(RenderError) as caught:
            await fetch(
                f"{server}{path}", work, max_bytes=LIMIT, allowed_dirs=[media], private_addresses=True
            )

        assert caught.value.transient is may_pass

    async def test_that_announce_too_much(self, server: str, media: Path, work: Path) -> None:
        with pytest.raises(RenderError) as caught:
            await fetch(
                f"{server}/whole.mp4", work, max_bytes=10, allowed_dirs=[media], private_addresses=True
            )

        assert caught.value.code == "source_too_large"

    async def test_that_nobody_serves(self, media: Path, work: Path, unused_tcp_port: int) -> None:
        assert await refusal(f"http://127.0.0.1:{unused_tcp_port}/", work, media) == "download_failed"

    @pytest.mark.parametrize(
        "host", ["localhost", "127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1", "[::ffff:127.0.0.1]"]
    )
    async def test_of_the_workers_own_network_are_refused(self, media: Path, work: Path, host: str) -> None:
        code = await refusal(f"http://{host}:1/", work, media, private_addresses=False)

        assert code == "source_forbidden"

    async def test_cancelled_leave_no_file(self, server: str, media: Path, work: Path) -> None:
        begun = asyncio.Event()

        async def on_bytes(_had: int, _total: int | None) -> None:
            begun.set()

        download = asyncio.create_task(
            fetch(
                f"{server}/endless",
                work,
                max_bytes=10**12,
                allowed_dirs=[media],
                on_bytes=on_bytes,
                private_addresses=True,
            )
        )
        await begun.wait()
        download.cancel()

        with pytest.raises(asyncio.CancelledError):
            await download
        assert is_empty(work)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.com/a.mp4", "source_forbidden"),
        ("concat:/etc/passwd", "source_forbidden"),
        ("data:video/mp4;base64,AA==", "source_forbidden"),
        ("http://[", "source_missing"),
        ("http:///a.mp4", "source_missing"),
        ("http://192.168.0.1/a.mp4", "source_forbidden"),
        ("/etc/passwd", "source_forbidden"),
    ],
)
def test_check__refuses_without_asking_the_network(tmp_path: Path, url: str, code: str) -> None:
    with pytest.raises(RenderError) as caught:
        check(url, [tmp_path])

    assert caught.value.code == code


def test_check__leaves_the_rest_to_the_network(tmp_path: Path) -> None:
    check("https://example.com/a.mp4", [tmp_path])
    check("http://127.0.0.1/a.mp4", [tmp_path], private_addresses=True)


def test_check__of_a_name_that_is_too_long_is_readable(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="it cannot be opened: File name too long") as caught:
        check(f"{tmp_path.as_uri()}/{'x' * 300}.mp4", [tmp_path])

    assert caught.value.code == "source_unreadable"

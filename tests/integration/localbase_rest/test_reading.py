"""Reading tables, views and what functions return."""

from typing import Any

import httpx
import psycopg
import pytest

from integration.localbase_rest.conftest import until_known
from localbase.pytest_plugin import LocalStack


@pytest.mark.parametrize(
    ("query", "slugs"),
    [
        ("slug=eq.acorn", ["acorn"]),
        ("slug=neq.acorn", ["birch", "cedar"]),
        ("slug=like.*r*", ["acorn", "birch", "cedar"]),
        ("slug=like(any).{a*,b*}", ["acorn", "birch"]),
        ("slug=match.^[ab]", ["acorn", "birch"]),
        ('slug=in.(acorn,"birch",x)', ["acorn", "birch"]),
        ("slug=in.()", []),
        ("city=is.null", ["cedar"]),
        ("city=not.is.null", ["acorn", "birch"]),
        ("city=isdistinct.oslo", ["birch", "cedar"]),
        ("id=gt.1&id=lt.3", ["birch"]),
        ("tags=cs.{books}", ["acorn"]),
        ("tags=ov.{tools,gifts}", ["acorn", "birch"]),
        ("settings->>theme=eq.dark", ["acorn"]),
        ("settings->limits->max=gt.4", ["acorn"]),
        ("slug=fts(simple).acorn|cedar", ["acorn", "cedar"]),
        ("or=(slug.eq.acorn,and(city.is.null,mood.eq.cross))", ["acorn", "cedar"]),
        ("not.or=(slug.eq.acorn,city.is.null)", ["birch"]),
        ("label=eq.ACORN", ["acorn"]),
    ],
)
async def test_filters(reader: httpx.AsyncClient, query: str, slugs: list[str]) -> None:
    response = await reader.get(f"/shops?select=slug&order=id&{query}")

    assert (response.status_code, [row["slug"] for row in response.json()]) == (200, slugs)


async def test_select(reader: httpx.AsyncClient) -> None:
    response = await reader.get(
        "/shops?id=eq.1&select=slug,at:city,n:settings->limits->>max::int,tags->0,label"
    )

    assert response.json() == [{"slug": "acorn", "at": "oslo", "n": 5, "tags": "books", "label": "ACORN"}]


async def test_order(reader: httpx.AsyncClient) -> None:
    response = await reader.get("/shops?select=id&order=city.desc.nullslast,id")

    assert [row["id"] for row in response.json()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("query", "headers", "status", "content_range"),
    [
        ("", {}, 200, "0-2/*"),
        ("limit=2&offset=1", {}, 200, "1-2/*"),
        ("limit=0", {}, 200, "*/*"),
        ("", {"Range": "1-1", "Prefer": "count=exact"}, 206, "1-1/3"),
        ("limit=1", {"Prefer": "count=estimated"}, 206, "0-0/3"),
        ("offset=9", {"Prefer": "count=exact"}, 416, "*/3"),
        ("city=eq.x", {"Prefer": "count=exact"}, 200, "*/0"),
    ],
)
async def test_ranges(
    reader: httpx.AsyncClient, query: str, headers: dict[str, str], status: int, content_range: str
) -> None:
    get, head = [
        await reader.request(method, f"/shops?{query}", headers=headers) for method in ("GET", "HEAD")
    ]

    assert (get.status_code, get.headers["content-range"]) == (status, content_range)
    if "Range" not in headers:
        assert (head.status_code, head.headers["content-range"], head.content) == (status, content_range, b"")


async def test_planned_count(reader: httpx.AsyncClient) -> None:
    response = await reader.get("/shops?limit=1", headers={"Prefer": "count=planned"})

    assert int(response.headers["content-range"].partition("/")[2]) > 0


@pytest.mark.parametrize(
    ("accept", "content_type", "body"),
    [
        ("text/csv", "text/csv; charset=utf-8", "slug,city\nacorn,oslo\ncedar,"),
        (
            "application/vnd.pgrst.array+json;nulls=stripped",
            "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8",
            '[{"slug":"acorn","city":"oslo"},{"slug":"cedar"}]',
        ),
    ],
)
async def test_media(reader: httpx.AsyncClient, accept: str, content_type: str, body: str) -> None:
    response = await reader.get("/shops?select=slug,city&id=neq.2&order=id", headers={"Accept": accept})

    assert response.headers["content-type"] == content_type
    assert response.text.replace(", \n ", ",") == body


async def test_single_object(reader: httpx.AsyncClient) -> None:
    single = {"Accept": "application/vnd.pgrst.object+json"}

    one = await reader.get("/shops?select=slug&id=eq.1", headers=single)
    all_of_them = await reader.get("/shops", headers=single)

    assert one.json() == {"slug": "acorn"}
    assert (all_of_them.status_code, all_of_them.json()["code"]) == (406, "PGRST116")


async def test_names_with_every_kind_of_character(reader: httpx.AsyncClient) -> None:
    response = await reader.get(
        "/odd %25s %22name%22 x", params={"select": '"a b%",x:"c.d"', '"a b%"': "eq.1", "order": '"c.d"'}
    )

    assert response.json() == [{"a b%": 1, "x": "x"}]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/shopz", 404, "PGRST205"),
        ("/shops?nope=eq.1", 400, "42703"),
        ("/shops?select=nope", 400, "42703"),
        ("/shops?id=1", 400, "PGRST100"),
        ("/shops?id=eq.one", 400, "22P02"),
        ("/shops?slug=eq.a%00b", 400, "22021"),
        ("/shops?select=id.sum()", 400, "PGRST123"),
        ("/shops?select=id::no_such_type", 400, "42704"),
        ("/shops?limit=-1", 416, "PGRST103"),
        ("/rpc/find_shop?slug=a%00b", 400, "22021"),
    ],
)
async def test_errors(reader: httpx.AsyncClient, path: str, status: int, code: str) -> None:
    response = await reader.get(path)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["proxy-status"] == f"PostgREST; error={code}"


async def test_hints(reader: httpx.AsyncClient) -> None:
    table, column = await reader.get("/shopz"), await reader.get("/shops?slag=eq.x")

    assert table.json()["hint"] == "Perhaps you meant the table 'public.shops'"
    assert column.json()["hint"] == 'Perhaps you meant to reference the column "shops.slug".'


async def test_preferences(reader: httpx.AsyncClient) -> None:
    lenient = await reader.get("/shops?limit=1", headers={"Prefer": "timezone=Asia/Tokyo, what=ever"})
    strict = await reader.get("/shops?limit=1", headers={"Prefer": "handling=strict, what=ever"})

    assert lenient.headers["preference-applied"] == "timezone=Asia/Tokyo"
    assert (strict.status_code, strict.json()["details"]) == (400, "Invalid preferences: what=ever")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/shops", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"),
        ("/counted", "OPTIONS,GET,HEAD"),
        ("/rpc/list_shops", "OPTIONS,GET,HEAD,POST"),
    ],
)
async def test_options(reader: httpx.AsyncClient, path: str, allowed: str) -> None:
    response = await reader.options(path)

    assert (response.status_code, response.headers["allow"], response.content) == (200, allowed, b"")


async def test_browsers_may_read_the_head(reader: httpx.AsyncClient) -> None:
    response = await reader.get("/shops")

    assert "Content-Range" in response.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/rpc/list_shops?select=slug&city=eq.oslo", [{"slug": "acorn"}]),
        (
            "/rpc/list_shops?select=slug&or=(city.is.null,id.eq.2)&order=slug.desc",
            [{"slug": "cedar"}, {"slug": "birch"}],
        ),
        (
            "/rpc/list_shops?select=slug,products(title)&limit=1&products.order=title",
            [{"slug": "acorn", "products": [{"title": "atlas"}, {"title": "novel"}]}],
        ),
        ("/rpc/find_shop?slug=birch&select=id,profiles(bio)", {"id": 2, "profiles": None}),
        ("/rpc/find_shop?slug=birch&city=eq.oslo", None),
        ("/rpc/numbers?n=5&limit=2&offset=1", [2, 3]),
    ],
)
async def test_results_of_functions(reader: httpx.AsyncClient, path: str, body: Any) -> None:
    response = await reader.get(path)

    assert (response.status_code, response.json()) == (200, body)


async def test_counted_results_of_functions(api: httpx.AsyncClient) -> None:
    response = await api.post("/rpc/numbers?limit=2", json={"n": 5}, headers={"Prefer": "count=exact"})

    assert (response.status_code, response.headers["content-range"]) == (206, "0-1/5")


async def test_results_with_a_media_type(reader: httpx.AsyncClient) -> None:
    text = await reader.get("/rpc/plain", headers={"Accept": "text/plain"})
    image = await reader.get("/rpc/dot", headers={"Accept": "image/x-dot"})

    assert (text.headers["content-type"], text.text) == ("text/plain; charset=utf-8", "as it is")
    assert (image.headers["content-type"], image.content) == ("image/x-dot", b"\x00\xff")


async def test_too_many_affected_rows_are_undone(api: httpx.AsyncClient) -> None:
    strict = {"Prefer": "handling=strict, max-affected=1"}

    response = await api.post("/rpc/add_shops", json={"slugs": ["x", "y"]}, headers=strict)

    assert (response.status_code, response.json()["code"]) == (400, "PGRST124")
    assert len((await api.get("/shops")).json()) == 3


async def test_rows_by_policy(anonymous: httpx.AsyncClient) -> None:
    mine = await anonymous.get("/notes?select=id", headers={"X-Owner": "bob"})
    closed = await anonymous.get("/hidden")

    assert mine.json() == [{"id": 2}]
    assert (closed.status_code, closed.headers["www-authenticate"]) == (401, "Bearer")


async def test_new_tables_are_seen(api: httpx.AsyncClient, localbase: LocalStack) -> None:
    with psycopg.connect(localbase.admin_db_url, autocommit=True) as connection:
        connection.execute(
            "create table public.late (id int primary key, shop_id int references public.shops)"
        )
        connection.execute("grant all on public.late to service_role")
        connection.execute("notify pgrst, 'reload schema'")
    await until_known(api, "/late")

    await api.post("/late", json={"id": 1, "shop_id": 2})

    assert (await api.get("/late?select=shops(slug)")).json() == [{"shops": {"slug": "birch"}}]

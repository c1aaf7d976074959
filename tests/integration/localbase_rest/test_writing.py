"""Changing rows."""

import httpx
import pytest

FULL = {"Prefer": "return=representation"}


async def test_insert(api: httpx.AsyncClient) -> None:
    response = await api.post("/shops?select=id,slug,city", json={"slug": "daisy"}, headers=FULL)

    assert (response.status_code, response.headers["content-range"]) == (201, "*/*")
    assert response.json() == [{"id": 4, "slug": "daisy", "city": "oslo"}]
    assert response.headers["preference-applied"] == "return=representation"


async def test_insert_minimal(api: httpx.AsyncClient) -> None:
    response = await api.post("/shops", json={"slug": "daisy"})

    assert (response.status_code, response.content) == (201, b"")
    assert "location" not in response.headers


async def test_location(api: httpx.AsyncClient) -> None:
    where = {"Prefer": "return=headers-only"}

    one = await api.post("/shop_members", json={"shop_id": 3, "member_id": 1}, headers=where)
    two = await api.post("/shops", json=[{"slug": "x"}, {"slug": "y"}], headers=where)

    assert one.headers["location"] == "/shop_members?shop_id=eq.3&member_id=eq.1"
    assert "location" not in two.headers


async def test_bulk(api: httpx.AsyncClient) -> None:
    rows = [{"slug": "x", "city": "alta"}, {"slug": "y"}]
    defaults = {"Prefer": "return=representation, missing=default"}

    uneven = await api.post("/shops", json=rows)
    nulls = await api.post("/shops?columns=slug,city&select=city", json=rows, headers=FULL)
    await api.delete("/shops?slug=in.(x,y)")
    filled = await api.post("/shops?columns=slug,city&select=city", json=rows, headers=defaults)

    assert uneven.json()["message"] == "All object keys must match"
    assert nulls.json() == [{"city": "alta"}, {"city": None}]
    assert filled.json() == [{"city": "alta"}, {"city": "oslo"}]


async def test_nothing_but_defaults(api: httpx.AsyncClient) -> None:
    response = await api.post("/members", json={}, headers=FULL)

    assert response.json()["code"] == "23502"


async def test_csv(api: httpx.AsyncClient) -> None:
    response = await api.post(
        "/shops?select=slug,city",
        content='slug,city\n"a, b",NULL\n',
        headers={"Content-Type": "text/csv", **FULL},
    )

    assert response.json() == [{"slug": "a, b", "city": None}]


@pytest.mark.parametrize(
    ("resolution", "status", "cities"),
    [("merge-duplicates", 201, ["x", "y"]), ("ignore-duplicates", 201, ["oslo", "y"])],
)
async def test_upsert(api: httpx.AsyncClient, resolution: str, status: int, cities: list[str]) -> None:
    rows = [{"slug": "acorn", "city": "x"}, {"slug": "daisy", "city": "y"}]

    response = await api.post(
        "/shops?on_conflict=slug", json=rows, headers={"Prefer": f"resolution={resolution}"}
    )

    assert response.status_code == status
    found = await api.get("/shops?select=city&slug=in.(acorn,daisy)&order=slug")
    assert [row["city"] for row in found.json()] == cities


async def test_upsert_of_what_is_there(api: httpx.AsyncClient) -> None:
    response = await api.post(
        "/shops", json={"id": 1, "slug": "acorn"}, headers={"Prefer": "resolution=merge-duplicates"}
    )

    assert (response.status_code, response.headers["preference-applied"]) == (
        200,
        "resolution=merge-duplicates",
    )


async def test_update(api: httpx.AsyncClient) -> None:
    response = await api.patch(
        "/shops?or=(id.eq.1,id.eq.2)&select=slug,city,profiles(bio)",
        json={"city": "x"},
        headers={"Prefer": "return=representation, count=exact"},
    )

    assert (response.status_code, response.headers["content-range"]) == (200, "0-1/2")
    assert sorted(response.json(), key=lambda row: row["slug"]) == [
        {"slug": "acorn", "city": "x", "profiles": {"bio": "old"}},
        {"slug": "birch", "city": "x", "profiles": None},
    ]


async def test_update_of_nothing(api: httpx.AsyncClient) -> None:
    none = await api.patch("/shops?id=eq.9", json={"city": "x"})
    empty = await api.patch("/shops?id=eq.1", json={}, headers=FULL)

    assert (none.status_code, none.headers["content-range"]) == (204, "*/*")
    assert (empty.status_code, empty.json()) == (200, [])


async def test_put(api: httpx.AsyncClient) -> None:
    row = {"id": 7, "email": "x"}

    created = await api.put("/members?id=eq.7", json=row, headers=FULL)
    updated = await api.put("/members?id=eq.7", json={**row, "email": "y"}, headers=FULL)
    another = await api.put("/members?id=eq.8", json=row)
    by_other = await api.put("/members?email=eq.x", json=row)

    assert (created.status_code, updated.status_code) == (201, 200)
    assert updated.json() == [{"id": 7, "email": "y"}]
    assert (another.status_code, another.json()["code"]) == (400, "PGRST115")
    assert (by_other.status_code, by_other.json()["code"]) == (405, "PGRST105")


async def test_delete(api: httpx.AsyncClient) -> None:
    response = await api.delete(
        "/products?shop_id=eq.1&select=title", headers={"Prefer": "return=representation, count=exact"}
    )

    assert (response.status_code, response.headers["content-range"]) == (200, "*/2")
    assert sorted(row["title"] for row in response.json()) == ["atlas", "novel"]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_too_many_affected_rows_are_undone(api: httpx.AsyncClient, method: str) -> None:
    response = await api.request(
        method,
        "/products?shop_id=eq.1",
        json={"title": "x"},
        headers={"Prefer": "handling=strict, max-affected=1"},
    )

    assert (response.status_code, response.json()["code"]) == (400, "PGRST124")
    assert len((await api.get("/products?title=in.(atlas,novel)")).json()) == 2


async def test_refused_answer_undoes_the_change(api: httpx.AsyncClient) -> None:
    response = await api.patch(
        "/shops", json={"city": "x"}, headers={"Accept": "application/vnd.pgrst.object+json"}
    )

    assert (response.status_code, response.json()["code"]) == (406, "PGRST116")
    assert (await api.get("/shops?city=eq.x")).json() == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/shops", '{"colour": 1}', 400, "PGRST204"),
        ("POST", "/shops", "{nope", 400, "PGRST102"),
        ("POST", "/shops?columns=slug", "{nope", 400, "22P02"),
        ("POST", "/shops", '{"slug": "acorn"}', 409, "23505"),
        ("POST", "/products", '{"shop_id": 9, "title": "x", "price": 1}', 409, "23503"),
        ("PATCH", "/products?id=eq.1", '{"price": -1}', 400, "23514"),
        ("PATCH", "/shops?id=eq.1", '{"mood": "glad"}', 400, "22P02"),
        ("DELETE", "/shops?id=eq.1", "", 409, "23503"),
        ("POST", "/counted", '{"shop_id": 1}', 500, "55000"),
        ("LOCK", "/shops", "", 405, "PGRST117"),
    ],
)
async def test_errors(
    api: httpx.AsyncClient, method: str, path: str, body: str, status: int, code: str
) -> None:
    response = await api.request(method, path, content=body, headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_rows_by_policy(anonymous: httpx.AsyncClient) -> None:
    owner = {"X-Owner": "ada"}

    mine = await anonymous.post("/notes", json={"id": 3, "owner": "ada"}, headers=owner)
    others = await anonymous.post("/notes", json={"id": 4, "owner": "bob"}, headers=owner)
    unseen = await anonymous.patch("/notes?id=eq.2", json={"id": 5}, headers={**owner, **FULL})

    assert (mine.status_code, others.status_code) == (201, 401)
    assert unseen.json() == []


async def test_names_with_every_kind_of_character(api: httpx.AsyncClient) -> None:
    path = "/odd %25s %22name%22 x"

    inserted = await api.post(path, json={"a b%": 3, "c.d": "z"}, headers=FULL)
    updated = await api.patch(f"{path}?%22a b%25%22=eq.3", json={"c.d": "%s"}, headers=FULL)

    assert inserted.json() == [{"a b%": 3, "c.d": "z"}]
    assert updated.json() == [{"a b%": 3, "c.d": "%s"}]

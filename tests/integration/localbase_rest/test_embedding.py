"""Related resources in one answer."""

from typing import Any

import httpx
import pytest


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("/products?select=title,shops(slug)&id=eq.1", [{"title": "atlas", "shops": {"slug": "acorn"}}]),
        (
            "/shops?select=slug,products(title)&products.order=price&products.limit=1&order=id",
            [
                {"slug": "acorn", "products": [{"title": "novel"}]},
                {"slug": "birch", "products": [{"title": "hammer"}]},
                {"slug": "cedar", "products": []},
            ],
        ),
        (
            "/shops?select=slug,about:profiles(bio)&order=id&limit=2",
            [{"slug": "acorn", "about": {"bio": "old"}}, {"slug": "birch", "about": None}],
        ),
        (
            "/shops?select=slug,members(email)&id=eq.1&members.order=email.desc",
            [{"slug": "acorn", "members": [{"email": "bob@example.com"}, {"email": "ada@example.com"}]}],
        ),
        (
            "/members?select=id,shops(slug,products(title))&id=eq.1&shops.products.title=eq.novel",
            [{"id": 1, "shops": [{"slug": "acorn", "products": [{"title": "novel"}]}]}],
        ),
        (
            "/transfers?select=a:shops!transfers_from_shop_fkey(slug),b:shops!to_shop(slug)&id=eq.1",
            [{"a": {"slug": "acorn"}, "b": {"slug": "birch"}}],
        ),
        (
            "/folders?select=name,children:folders(name),parent:parent_id(name)&order=id",
            [
                {"name": "root", "children": [{"name": "leaf"}], "parent": None},
                {"name": "leaf", "children": [], "parent": {"name": "root"}},
            ],
        ),
        ("/cheap?select=title,shops(slug)", [{"title": "hammer", "shops": {"slug": "birch"}}]),
        ("/shops?select=slug,cheap(title)&id=eq.2", [{"slug": "birch", "cheap": [{"title": "hammer"}]}]),
        ("/shops?select=slug,best(title)&id=eq.2", [{"slug": "birch", "best": {"title": "saw"}}]),
        ("/shops?select=slug,products(count)&id=eq.1", [{"slug": "acorn", "products": [{"count": 2}]}]),
        (
            "/products?select=title,...shops(slug,town:city)&id=eq.1",
            [{"title": "atlas", "slug": "acorn", "town": "oslo"}],
        ),
        (
            "/shops?select=slug,...products(title)&products.order=title.desc&id=in.(1,3)&order=id",
            [{"slug": "acorn", "title": ["novel", "atlas"]}, {"slug": "cedar", "title": []}],
        ),
        ("/shops?select=slug,products!inner()&products.price=lt.10", [{"slug": "birch"}]),
        (
            "/shops?select=slug,...products!inner(title)&products.price=lt.10",
            [{"slug": "birch", "title": ["hammer"]}],
        ),
        ("/shops?select=slug,products()&products=is.null", [{"slug": "cedar"}]),
        (
            "/shops?select=slug,profiles()&or=(profiles.not.is.null,slug.eq.cedar)&order=id",
            [{"slug": "acorn"}, {"slug": "cedar"}],
        ),
        (
            "/products?select=title,shops(slug)&order=shops(slug).desc,title&limit=1",
            [{"title": "hammer", "shops": {"slug": "birch"}}],
        ),
    ],
)
async def test_embedding(reader: httpx.AsyncClient, path: str, rows: list[Any]) -> None:
    response = await reader.get(path)

    assert (response.status_code, response.json()) == (200, rows)


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("select=slug,products!inner(title)", "2"),
        ("select=slug,products!inner(title)&products.price=gt.40", "1"),
        ("select=slug,members!inner(id)&members.id=eq.1", "1"),
        ("select=slug,products()&products=is.null", "1"),
        ("select=slug,products(title)&products.price=gt.40", "3"),
    ],
)
async def test_only_inner_resources_count(reader: httpx.AsyncClient, query: str, total: str) -> None:
    response = await reader.get(f"/shops?{query}", headers={"Prefer": "count=exact"})

    assert response.headers["content-range"].partition("/")[2] == total
    assert int(total) == len(response.json())


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/products?select=id,members(id)", 400, "PGRST200"),
        ("/products?select=id,shops!nope(id)", 400, "PGRST200"),
        ("/transfers?select=id,shops(slug)", 300, "PGRST201"),
        ("/shops?select=slug&products.price=gt.5", 400, "PGRST108"),
        ("/shops?select=slug,products(title)&order=products(title)", 400, "PGRST118"),
        ("/shops?select=slug,products(title)&products=eq.1", 400, "PGRST120"),
        ("/shops?select=slug,products(nope)", 400, "42703"),
    ],
)
async def test_errors(reader: httpx.AsyncClient, path: str, status: int, code: str) -> None:
    response = await reader.get(path)

    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_the_choice_is_explained(reader: httpx.AsyncClient) -> None:
    error = (await reader.get("/transfers?select=id,shops(slug)")).json()

    assert [found["relationship"] for found in error["details"]] == [
        "transfers_from_shop_fkey using transfers(from_shop) and shops(id)",
        "transfers_to_shop_fkey using transfers(to_shop) and shops(id)",
    ]
    assert "'shops!transfers_from_shop_fkey', 'shops!transfers_to_shop_fkey'" in error["hint"]


async def test_what_was_inserted_comes_with_what_it_belongs_to(api: httpx.AsyncClient) -> None:
    response = await api.post(
        "/products?select=title,shops(slug)",
        json={"shop_id": 3, "title": "jam", "price": 4},
        headers={"Prefer": "return=representation"},
    )

    assert response.json() == [{"title": "jam", "shops": {"slug": "cedar"}}]

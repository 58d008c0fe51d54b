"""What errors mean, over HTTP."""

from __future__ import annotations

from tests.api.conftest import Api, problem


def test_an_error_text_is_explained_with_its_source(api: Api) -> None:
    found = api["objects"].post("/doctor/explain", json={"text": "AADSTS7000222: The provided client secret keys are expired."}).json()
    assert (found["known"], found["unknown"]) == (True, "")
    (first,) = found["explanations"]
    assert (first["code"], first["of"], first["means"]) == ("AADSTS7000222", "Microsoft Entra", "The client secret has expired")
    unknown = api["objects"].post("/doctor/explain", json={"text": "nothing of this kind"}).json()
    assert (unknown["known"], unknown["explanations"]) == (False, [])
    assert "does not know" in unknown["unknown"]
    assert "text" in problem(api["objects"].post("/doctor/explain", json={"text": " "}), 422)
    assert "objects:read" in problem(api["erp"].post("/doctor/explain", json={"text": "550"}), 403)


def test_a_look_at_an_odoo_says_why_there_is_none(api: Api) -> None:
    objects = api["objects"]
    assert "that is an Odoo" in problem(objects.get("/doctor/odoo/desk"), 422)
    assert "that is an Odoo" in problem(objects.post("/doctor/odoo/desk/repairs", json={"codes": []}), 422)
    assert "that is an Odoo" in problem(objects.delete("/doctor/odoo/desk/repairs"), 422)
    assert "objects:write" in problem(api["reader"].delete("/doctor/odoo/desk/repairs"), 403)

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

"""TensorFlow Serving's REST contract, case by case; the same for the real server."""

import base64
import gzip
import json
import math

import numpy as np
import pytest
import requests
import tensorflow as tf


def png(grey):
    pixels = np.full([2, 3, 3], grey, np.uint8)
    return tf.io.encode_png(pixels).numpy()


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


RED = b64(png(7))


def post(url, body, which="", verb="predict", **options):
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    return requests.post(f"{url}{which}:{verb}", data=data, timeout=30, **options)


def ask(url, signature, **body):
    return post(url, {"signature_name": signature, **body})


def nested(depth):
    found = 1.0
    for _ in range(depth):
        found = [found]
    return found


MANY = "several inputs"
REFUSED = {
    "empty body": (b"", 400, "JSON Parse error: "),
    "broken JSON": (b'{"instances": [', 400, "JSON Parse error: "),
    "trailing JSON": (b'{"instances": []} x', 400, "JSON Parse error: "),
    "no object": (b"[1]", 400, "Is not object"),
    "neither key": ({}, 400, "Missing 'inputs' or 'instances' key"),
    "both keys": ({"inputs": [RED], "instances": [RED]}, 400, "expecting only one of"),
    "no rows": ({"instances": []}, 400, "No values in 'instances' array"),
    "signature no text": (
        {"signature_name": 3, "instances": [RED]},
        *(400, "'signature_name' key must be a string value"),
    ),
    "unknown signature": (
        {"signature_name": "X", "instances": [RED]},
        *(400, 'Serving signature name: "X" not found in signature def'),
    ),
    "unknown key": (
        {"instances": [{"other": RED}]},
        *(400, "Failed to process element: 0 key: other of 'instances' list."),
    ),
    "missing column": (
        {"signature_name": "two", "inputs": {"a": [1.0]}},
        *(400, "Missing named input: b in 'inputs' object."),
    ),
    MANY: (
        {"signature_name": "two", "instances": [1.0]},
        *(400, "instances is a plain list, but expecting list of objects"),
    ),
    "mixed rows": (
        {"signature_name": "two", "instances": [{"a": 1.0, "b": 1.0}, 2.0]},
        *(400, "Expecting object but got list at item 1 of input list"),
    ),
    "ragged rows": (
        {"signature_name": "echo", "instances": [[1.0], [1.0, 2.0]]},
        *(400, "Expecting tensor size: 1 but got: 2"),
    ),
    "33 dimensions": (
        {"signature_name": "echo", "instances": nested(33)},
        *(400, "dimensions"),
    ),
    "nesting that parses and is too deep to walk": (
        b'{"signature_name": "echo", "instances": [' + 978 * b"[" + 978 * b"]" + b"]}",
        *(400, ""),
    ),
    "a number too large for a double": (
        b'{"signature_name": "echo", "instances": [[1e400]]}',
        *(400, "JSON Parse error: "),
    ),
    "a whole number too large for a double": (
        b'{"signature_name": "echo", "instances": [[1' + b"0" * 400 + b"]]}",
        *(400, ""),
    ),
    "five thousand million for an int32": (
        {"signature_name": "whole", "instances": [{"small": 5 * 10**9, "large": 1}]},
        *(400, "is not of expected type: int32"),
    ),
    "text for a number": (
        {"signature_name": "two", "inputs": {"a": ["1"], "b": [1.0]}},
        *(400, "is not of expected type: float"),
    ),
    "null": (
        {"signature_name": "two", "inputs": {"a": [None], "b": [1.0]}},
        *(400, "is not of expected type: float"),
    ),
    "a fraction for an integer": (
        {"signature_name": "count", "instances": [7.0]},
        *(400, "is not of expected type: uint8"),
    ),
    "true for an integer": (
        {"signature_name": "count", "instances": [True]},
        *(400, "is not of expected type: uint8"),
    ),
    "no image": (
        {"instances": [b64(b"no image")]},
        # Each TensorFlow names what it decodes.
        *(400, "Unknown image file format. One of JPEG, "),
    ),
    "an empty image": ({"instances": [b64(b"")]}, 400, "Input is empty."),
    "half an image": ({"instances": [b64(png(7)[:40])]}, 400, "PNG"),
    "one bad image of two": ({"instances": [RED, b64(b"no image")]}, 400, "Unknown"),
    "URL-safe base64": (
        {"instances": [{"b64": "_-_-"}]},
        *(400, "Unable to base64 decode"),
    ),
    "a data address": (
        {"instances": [{"b64": "data:image/png;base64,AAAA"}]},
        *(400, "Unable to base64 decode"),
    ),
    "b64 beside another key": ({"instances": [{**RED, "x": 1}]}, 400, ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(url, case):
    body, status, message = REFUSED[case]
    answer = post(url, body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert message in answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"


ELEMENT = "Failed to process element: {} of 'instances' list. Error: {}: "
INVALID = "INVALID_ARGUMENT"


def element(where, reason, code=INVALID):
    return ELEMENT.format(where, code) + reason


# What the real server's own code answers, word for word (json_tensor.cc of 2.15).
WORDS = {
    "a fraction for a text": (
        {"instances": ["x", 1.5]},
        element(1, "JSON Value: 1.5 Type: Number is not of expected type: string"),
    ),
    "null for a number": (
        {"signature_name": "echo", "instances": [[None]]},
        element(0, "JSON Value: null Type: Null is not of expected type: float"),
    ),
    "an object for a number": (
        {"signature_name": "echo", "instances": [[{"x": 1}]]},
        element(
            0,
            'JSON Value: {\n    "x": 1\n} Type: Object is not of expected type: float',
        ),
    ),
    "true for a named number": (
        {"signature_name": "two", "instances": [{"a": 1, "b": 2}, {"a": 1, "b": True}]},
        element(
            "1 key: b", "JSON Value: true Type: Bool is not of expected type: float"
        ),
    ),
    "a text for a number, in columns": (
        {"signature_name": "two", "inputs": {"a": ["1"], "b": [1.0]}},
        'JSON Value: "1" Type: String is not of expected type: float',
    ),
    "a number in bytes for a text": (
        {"instances": [{"b64": 1.5}]},
        element(0, "JSON Value: 1.5 Type: Number is not of expected type: string"),
    ),
    "an unknown key": (
        {"signature_name": "two", "instances": [{"a": 1, "c": 2}]},
        element("0 key: c", "JSON object: does not have named input: c"),
    ),
    "a key that is not there": (
        {"signature_name": "two", "instances": [{"a": 1}]},
        "Failed to process element: 0 of 'instances' list. JSON object: {\n"
        '    "a": 1\n} keys must be equal to: a,b',
    ),
    "a value among objects": (
        {"signature_name": "two", "instances": [{"a": 1, "b": 1}, 2]},
        "Expecting object but got list at item 1 of input list",
    ),
    "an object among values": (
        {"signature_name": "echo", "instances": [[1], {"x": [1]}]},
        "Expecting value/list but got object at item 1 of input list",
    ),
    "rows of other sizes": (
        {"signature_name": "echo", "instances": [[1, 2], [1, 2, 3]]},
        element(1, "Expecting tensor size: 2 but got: 3"),
    ),
    "rows of other shapes": (
        {"signature_name": "echo", "instances": [[[1, 2]], [[1], [2]]]},
        element(1, "Expecting shape [1,2] but got: [2,1]"),
    ),
    "a ragged row": (
        {"signature_name": "echo", "instances": [[[1, 2], 3]]},
        element(
            0,
            "JSON Value: 3 found at incorrect level: 2 in the JSON DOM. Expected at "
            "level: 2",
        ),
    ),
    "a list too deep, in columns": (
        {"signature_name": "echo", "inputs": [[1], [[2]]]},
        "Encountered list at unexpected level: 2 expected < 2",
    ),
    "a list too long, in columns": (
        {"signature_name": "echo", "inputs": [[1], [2, 3]]},
        "Encountered list at unexpected size: 2 at level: 1 expected size: 1",
    ),
    "more than a float holds exactly": (
        {"signature_name": "echo", "instances": [[16777216]]},
        element(
            0,
            "Cannot convert JSON value: 16777216 to float without loss of precision.",
        ),
    ),
    "bytes that are none": (
        {"instances": [b64(png(7)), {"b64": "_-_-"}]},
        element(1, "Unable to base64 decode"),
    ),
    "an output without rows": (
        {"signature_name": "total", "instances": [1.0, 2.0]},
        "Tensor name: total has no shape information ",
    ),
    "outputs of other sizes": (
        {"signature_name": "uneven", "instances": [1.0]},
        "Tensor name: two has inconsistent batch size: 2 expecting: 1",
    ),
    "half precision": (
        {"signature_name": "half", "inputs": [1.0]},
        "Failed to write JSON value for tensor type: half",
    ),
    "bfloat16, in rows": (
        {"signature_name": "brain", "instances": [1.5]},
        element(0, "Conversion of JSON Value: 1.5 to type: bfloat16", "UNIMPLEMENTED"),
    ),
}


@pytest.mark.parametrize("case", WORDS)
def test_refusals_word_for_word(url, case):
    body, words = WORDS[case]
    answer = post(url, body)
    assert answer.status_code == 400
    assert answer.json() == {"error": words}


def test_what_is_not_implemented_has_its_own_status(url):
    answer = post(url, {"signature_name": "brain", "inputs": [1.5]})
    assert answer.status_code == 501
    words = "Conversion of JSON Value: 1.5 to type: bfloat16"
    assert answer.json() == {"error": words}


def test_scalars_stay_scalars(url):
    answer = ask(url, "scalar", inputs=1.5)
    assert answer.text == '{\n    "outputs": 3.0\n}'
    assert ask(url, "scalar", inputs={"s": 0.5}).json() == {"outputs": 1.0}


def test_of_two_equal_keys_the_first_counts(url):
    body = b'{"signature_name": "scalar", "inputs": 1.5, "inputs": 4.0}'
    assert post(url, body).json() == {"outputs": 3.0}
    body = b'{"signature_name": "two", "instances": [{"a": 1, "b": 2, "a": 9}]}'
    assert post(url, body).json()["predictions"][0]["sum"] == 3.0


def test_rows_are_the_outputs_whatever_were_asked_for(url):
    answer = ask(url, "longer", instances=[1.0])
    assert answer.json() == {"predictions": [1.0, 1.0]}
    assert ask(url, "first", instances=[1.0, 2.0]).json() == {"predictions": [1.0]}


def test_bytes_of_a_number_are_the_number(url):
    assert ask(url, "scalar", inputs={"b64": 1.5}).json() == {"outputs": 3.0}


def test_unsigned_numbers(url):
    answer = ask(url, "unsigned", instances=[2**32 - 2, 7])
    assert answer.json() == {"predictions": [2**32 - 1, 8]}
    assert ask(url, "unsigned", instances=[-1]).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/contract/"),
        ("GET", "/v1/models/contract?x=1"),
        ("PUT", "/v1/models/contract"),
        ("GET", "/v1/models/contract/version/1"),
        ("GET", "/v1/models/contract:predict"),
        ("POST", "/v1/models/contract:predict/"),
        ("POST", "/v1/models/contract:predict?x=1"),
    ],
)
def test_an_address_that_is_none_is_repeated(url, method, path):
    root = url.partition("/v1/")[0]
    answer = requests.request(method, root + path, data=b"{}", timeout=30)
    assert answer.status_code == 400
    assert answer.json() == {"error": f"Malformed request: {method} {path}"}


def test_the_list_of_models_has_no_name(url):
    answer = requests.get(url.rpartition("/")[0], timeout=30)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Missing model name in request.")


def test_the_order_of_checks(url):
    unknown = url.replace("contract", "unknown")
    assert post(unknown, b"{").status_code == 400
    assert post(unknown, {"signature_name": 1}).status_code == 400
    for which, named in (("", "Latest(unknown)"), ("/versions/9", "")):
        answer = post(unknown, {}, which)
        assert answer.status_code == 404
        assert f"Servable not found for request: {named}" in answer.json()["error"]
    answer = post(url, {}, "/versions/9")
    assert answer.status_code == 404
    assert "Specific(contract, 9)" in answer.json()["error"]


def test_status_and_metadata(url):
    state = requests.get(url, timeout=30).json()["model_version_status"]
    one, two = (
        {
            "version": version,
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        for version in "12"
    )
    assert sorted(state, key=lambda found: found["version"]) == [one, two]
    for which, wanted in (("/versions/1", one), ("/labels/stable", one)):
        answer = requests.get(f"{url}{which}", timeout=30)
        assert answer.json() == {"model_version_status": [wanted]}
    for other, message in (
        (f"{url}/versions/9", "Could not find version 9 of model contract"),
        (f"{url}/versions/{9**18}", f"Could not find version {9**18} of model"),
        (f"{url}x", "Could not find any versions of model contractx"),
    ):
        answer = requests.get(other, timeout=30)
        assert answer.status_code == 404
        assert answer.json()["error"].startswith(message)
    found = requests.get(f"{url}/metadata", timeout=30).json()
    assert found["model_spec"] == {
        "name": "contract",
        "signature_name": "",
        "version": "2",
    }
    offered = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert offered["method_name"] == "tensorflow/serving/predict"
    (side,) = offered["inputs"]["image_bytes"]["tensor_shape"]["dim"]
    assert side["size"] == "-1"
    assert offered["inputs"]["image_bytes"]["dtype"] == "DT_STRING"
    whole = found["metadata"]["signature_def"]["signature_def"]["whole"]["inputs"]
    assert [whole[name]["dtype"] for name in ("small", "large")] == [
        *("DT_INT32", "DT_INT64"),
    ]
    for which, version in (("/versions/1", "1"), ("/labels/canary", "2")):
        found = requests.get(f"{url}{which}/metadata", timeout=30).json()
        assert found["model_spec"]["version"] == version


def test_versions_and_labels(url):
    body = {"instances": [RED]}
    for which in ("", "/versions/1", "/versions/2", "/labels/stable", "/labels/canary"):
        assert post(url, body, which).json() == {"predictions": [[7.0] * 3]}
    for which in ("", "/metadata", ":predict"):
        method = "POST" if which == ":predict" else "GET"
        answer = requests.request(
            method, f"{url}/labels/other{which}", json=body, timeout=30
        )
        assert answer.status_code == 400
        assert "Unrecognized servable version label: other" in answer.json()["error"]


@pytest.mark.parametrize(
    "instance", [RED, {"image_bytes": RED}, {"image_bytes": {"b64": "PAD"}}]
)
def test_bytes_come_with_or_without_the_inputs_name(url, instance):
    if instance == {"image_bytes": {"b64": "PAD"}}:
        # Without padding, with white space.
        text = RED["b64"].rstrip("=")
        instance = {"image_bytes": {"b64": f" {text[:5]}\n{text[5:]}"}}
    answer = post(url, {"instances": [instance, instance]})
    assert answer.json() == {"predictions": [[7.0] * 3] * 2}


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (b"\xef\xbb\xbf" + json.dumps({"instances": [RED]}).encode(), {}),
        (
            gzip.compress(json.dumps({"instances": [RED]}).encode()),
            {"headers": {"content-encoding": "gzip"}},
        ),
        (
            json.dumps({"instances": [RED]}).encode(),
            {"headers": {"content-type": "text/plain"}},
        ),
        (json.dumps({"signature_name": "", "instances": [RED]}).encode(), {}),
    ],
)
def test_what_is_accepted(url, body, options):
    assert post(url, body, **options).json() == {"predictions": [[7.0] * 3]}


def test_row_and_column_form(url):
    rows = ask(url, "two", instances=[{"a": 1.5, "b": 2}, {"a": 0.0, "b": 3.0}])
    assert rows.json() == {
        "predictions": [{"sum": 3.5, "product": 3.0}, {"sum": 3.0, "product": 0.0}]
    }
    text = ask(url, "two", inputs={"a": [1.5, 2.0], "b": [2.0, 0.5]}).text
    # A number a line.
    assert [line.count(".") for line in text.splitlines() if "." in line] == [1] * 4
    columns = ask(url, "two", inputs={"a": [1.5], "b": [2.0], "more": 1})
    assert columns.json() == {"outputs": {"sum": [3.5], "product": [3.0]}}
    assert ask(url, "count", inputs=[7, 300, -1]).json() == {"outputs": [7, 44, 255]}
    assert ask(url, "total", inputs=[1.0, 2.0]).json() == {"outputs": 3.0}
    assert ask(url, "count", inputs=[]).json() == {"outputs": []}


def test_shapes_are_not_checked(url):
    answer = ask(url, "pairs", instances=[[1.0, 2.0, 3.0]])
    assert answer.json() == {"predictions": [[2.0, 4.0, 6.0]]}
    answer = ask(url, "texts", instances=[["a", "b"]])
    assert answer.json()["predictions"][0]["upper"] == ["A", "B"]


def test_texts(url):
    answer = ask(url, "texts", instances=["abc", b64("é".encode())])
    first, second = answer.json()["predictions"]
    assert first == {"upper": "ABC", "upper_bytes": b64(b"ABC")}
    assert base64.b64decode(second["upper_bytes"]["b64"]) == "é".encode()


def test_numbers_as_they_are_written(url):
    values = [1.0, 0.5, 1 / 3, 1e-7, 123456.0, 1234567.0, -0.0, 16777216.0]
    text = ask(url, "echo", instances=[values]).text
    written = text[text.index("[[") + 2 : text.index("]")].replace(" ", "").split(",")
    written = [one.strip() for one in written]
    assert written[:3] == ["1.0", "0.5", "0.333333343"]
    assert written[4] == "123456.0"
    np.testing.assert_array_equal(np.float32(written), np.float32(values))
    large = 3e38
    text = ask(url, "two", inputs={"a": [large, -large], "b": [large, large]}).text
    assert "Infinity" in text
    parsed = json.loads(text)["outputs"]
    assert parsed["sum"][0] == math.inf
    assert parsed["product"][1] == -math.inf
    answer = ask(url, "ratio", instances=[0.0, 2.0])
    assert "NaN" in answer.text
    assert math.isnan(answer.json()["predictions"][0])
    sums = [{"small": -(2**31), "large": 2**62}]
    expected = {"predictions": [2**62 - 2**31]}
    assert ask(url, "whole", instances=sums).json() == expected


def test_a_verb_that_the_signature_has_not(url):
    for verb, kind in (("classify", "classification"), ("regress", "regression")):
        answer = post(url, {"examples": [{"x": 1.0}]}, verb=verb)
        assert answer.status_code == 400
        words = f"Expected {kind} signature method_name to be tensorflow/serving/{verb}"
        assert words in answer.json()["error"]


def test_a_version_of_too_many_digits_is_no_address(url):
    for path in ("", "/metadata", ":predict"):
        method = "POST" if path == ":predict" else "GET"
        answer = requests.request(
            method, f"{url}/versions/{'1' * 5000}{path}", data=b"{}", timeout=30
        )
        assert answer.status_code == 400
        assert list(answer.json()) == ["error"]

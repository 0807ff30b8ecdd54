"""What commands print of one clip."""

from avemotion.cli.text_output import prediction_text
from avemotion.inference.prediction import ClipFailure, Prediction


def test_a_prediction_is_shown_with_its_evidence_and_a_failure_with_its_reason() -> None:
    prediction = Prediction(
        "a.mp4", "anger", {"anger": 0.75, "fear": 0.25}, "av", 18, 20, None, None, "m", ("dark",)
    )
    text = prediction_text(prediction)
    assert text.startswith("a.mp4: anger (from av; face on 18 of 20 frames)\n")
    assert text.endswith("\n  warning: dark") and "anger 0.750  fear 0.250" in text
    assert prediction_text(ClipFailure("b.mp4", "no such file")) == "b.mp4: FAILED: no such file"

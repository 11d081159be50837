"""What people say of the answers, from PostgreSQL."""

from infra.monitoring.panels.parts import DAILY, PLAIN, POSTGRES, SECONDS, SHARE, Dashboard, Panel

JOINED = "FROM feedback f JOIN prediction p ON p.id = f.prediction_id WHERE p.task IN ($task)"
# Once for each prediction, however many people said it.
CONFIRMED = (
    "FROM (SELECT DISTINCT prediction_id, label FROM feedback WHERE state = 'confirmed') AS f "
    "JOIN prediction p ON p.id = f.prediction_id WHERE p.task IN ($task) AND $__timeFilter(p.time)"
)
FEEDBACK = Dashboard(
    "Feedback",
    {"task": DAILY},
    (
        Panel(
            "Predictions in an hour",
            PLAIN,
            {
                "": "SELECT date_trunc('hour', time) AS time, label AS metric, count(*) AS value FROM prediction "
                "WHERE task IN ($task) AND $__timeFilter(time) GROUP BY 1, 2 ORDER BY 1"
            },
        ),
        Panel(
            "Feedback in a day",
            PLAIN,
            {
                "": "SELECT date_trunc('day', f.time) AS time, f.state AS metric, count(*) AS value "
                f"{JOINED} AND $__timeFilter(f.time) GROUP BY 1, 2 ORDER BY 1"
            },
        ),
        Panel(
            "Right, by confirmed feedback, of the predictions of a day",
            SHARE,
            {
                "": "SELECT date_trunc('day', p.time) AS time, p.version AS metric, "
                "avg(CASE WHEN p.label = f.label THEN 1.0 ELSE 0.0 END) AS value "
                f"{CONFIRMED} GROUP BY 1, 2 ORDER BY 1"
            },
        ),
        Panel(
            "Rightly given, of each label",
            SHARE,
            {
                "": "SELECT date_trunc('day', p.time) AS time, p.label AS metric, "
                "avg(CASE WHEN p.label = f.label THEN 1.0 ELSE 0.0 END) AS value "
                f"{CONFIRMED} GROUP BY 1, 2 ORDER BY 1"
            },
        ),
        Panel(
            "What was answered, and what it was",
            "",
            {
                "": f"SELECT p.label AS answered, f.label AS truth, count(*) AS inputs {CONFIRMED} "
                "GROUP BY 1, 2 ORDER BY 3 DESC"
            },
        ),
        Panel(
            "Feedback that waits for review",
            "",
            {
                "": "SELECT p.task, count(*) AS waiting, min(f.time) AS oldest "
                f"{JOINED} AND f.state = 'new' GROUP BY 1 ORDER BY 1"
            },
        ),
        Panel(
            "Reviewers who agree, of the inputs that several saw",
            SHARE,
            {
                "": "SELECT date_trunc('day', time) AS time, 'agreement' AS metric, "
                "avg(CASE WHEN labels = 1 THEN 1.0 ELSE 0.0 END) AS value FROM (SELECT p.id, p.time, "
                f"count(DISTINCT f.label) AS labels {JOINED} AND f.state != 'rejected' AND $__timeFilter(p.time) "
                "GROUP BY p.id, p.time HAVING count(DISTINCT f.reviewer) > 1) AS seen GROUP BY 1 ORDER BY 1"
            },
        ),
        Panel(
            "Time to review, half of them",
            SECONDS,
            {
                "": "SELECT date_trunc('day', f.time) AS time, p.task AS metric, percentile_cont(0.5) WITHIN GROUP "
                "(ORDER BY extract(epoch FROM f.decided - f.time)) AS value "
                f"{JOINED} AND f.decided IS NOT NULL AND $__timeFilter(f.time) GROUP BY 1, 2 ORDER BY 1"
            },
        ),
    ),
    POSTGRES,
)

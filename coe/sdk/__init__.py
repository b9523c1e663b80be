"""What a team's flow or script imports: a client of the GraphQL API, and the local run.

A local flow is an ordinary Prefect flow whose only parameter is the run id:

    from prefect import flow
    from coe.sdk import local_run

    @flow(name="pick-and-pack")
    async def pick_and_pack(run_id: str) -> None:
        async with local_run(run_id) as run:
            reserved = await run.step("reserve", lambda: reserve(run.input, run.key("reserve")))
            run.output = {"reservation": reserved["id"]}

The platform's database stores the input, the outputs of steps and the output of the run encrypted.
Prefect gets none of them, and of an error only its id. The SDK imports only httpx and `coe.errors`.
Tests of a flow use `coe.sdk.testing`.
"""

from coe.sdk.client import Client
from coe.sdk.local_run import Fault, LocalRun, LocalRunFailed, RunNotOurs, local_run

__all__ = ["Client", "Fault", "LocalRun", "LocalRunFailed", "RunNotOurs", "local_run"]

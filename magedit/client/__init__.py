"""Typed clients of the HTTP service. They need only httpx, httpx-sse and pydantic: the folder can be copied.

with Client("http://127.0.0.1:8000") as client:
    edit = client.submit("room.png", ["mask.png"], source_prompt="a red sofa", target_prompt="a blue sofa")
    edit = client.wait(edit.id)
    Path("out.png").write_bytes(client.result(edit.id))

async with AsyncClient("http://127.0.0.1:8000") as client:
    edit = await client.submit("room.png", ["mask.png"], source_prompt="a red sofa", target_prompt="a blue sofa")
    async for edit in client.stream(edit.id):
        print(edit.state, edit.progress)
    await client.download(edit, "out.png")
"""

from .aio import AsyncClient
from .calls import DamagedFile, EditNotSucceeded, Picture, ServiceError, form_data
from .models import (
    Edit,
    EditWarning,
    FieldError,
    File,
    FoundRegion,
    Mask,
    MaskCandidate,
    Measures,
    Model,
    Page,
    Preview,
    Problem,
    Progress,
    Ratios,
    Result,
    ResultMeasures,
    State,
    Timings,
)
from .sync import Client

__all__ = [
    "AsyncClient",
    "Client",
    "DamagedFile",
    "Edit",
    "EditNotSucceeded",
    "EditWarning",
    "FieldError",
    "File",
    "FoundRegion",
    "Mask",
    "MaskCandidate",
    "Measures",
    "Model",
    "Page",
    "Picture",
    "Preview",
    "Problem",
    "Progress",
    "Ratios",
    "Result",
    "ResultMeasures",
    "ServiceError",
    "State",
    "Timings",
    "form_data",
]

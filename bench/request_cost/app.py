"""The application that is measured: one small JSON GET, as a tutorial would write it."""

from fastapi import FastAPI
from pydantic import BaseModel


class Item(BaseModel):
    """What is answered."""

    id: int
    name: str


app = FastAPI()


@app.get("/items/{item_id}")
async def item(item_id: int) -> Item:
    """An item, made on the spot: whatever takes time here is the framework."""
    return Item(id=item_id, name=f"item {item_id}")
